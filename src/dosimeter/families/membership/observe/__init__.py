"""From models to what an adversary sees and holds: signals, games, probes."""
