"""Another door: traffic over the cut of a model that is elsewhere, as its user recorded it."""
