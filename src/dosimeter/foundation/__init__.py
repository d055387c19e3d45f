"""Basics for every room: errors, checks, random numbers, wording, the user's own code, TOML, provenance."""
