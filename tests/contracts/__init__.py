"""What holds for every plug-in of a registry."""
