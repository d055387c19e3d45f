"""Attacks that tell which tasks a shared encoder was trained on, and what they are compared with."""
