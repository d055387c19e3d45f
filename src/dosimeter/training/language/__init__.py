"""Stages of texts: what they learn, and what they may not have."""
