"""audit.toml to settings."""
