"""Configuration: from audit.toml to settings."""
