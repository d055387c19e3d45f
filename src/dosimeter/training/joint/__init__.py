"""Stages that several organisations train together, and the transcript of all that crosses between them."""
