"""What every room stands on: errors, checks, random numbers, wording, the user's own code, TOML, provenance."""
