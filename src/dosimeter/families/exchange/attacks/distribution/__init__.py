"""Attacks that tell of which of two worlds a party's records were, and what they are compared with."""
