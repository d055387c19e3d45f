"""Networks that an adversary at a cut trains in the place of those that they do not have."""
