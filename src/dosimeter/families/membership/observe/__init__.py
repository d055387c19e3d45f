"""The adversary's view of models: signals, games, probes."""
