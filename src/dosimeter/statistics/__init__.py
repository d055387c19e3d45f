"""Statistics of leakage: arrays in, estimates out. Nothing here knows a model."""
