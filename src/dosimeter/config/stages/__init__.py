"""Rules on the stages of a file: those that parties train together, and which chains there are."""
