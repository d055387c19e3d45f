"""The dose: what evidence tells about a secret beyond what was known before, in bits, for every kind of secret."""
