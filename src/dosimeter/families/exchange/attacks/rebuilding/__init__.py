"""Attacks that make records of a batch from what was seen of it, and what they are compared with."""
