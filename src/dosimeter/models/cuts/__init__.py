"""The graph of a model, the places at which it can be cut, and its two halves."""
