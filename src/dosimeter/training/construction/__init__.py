"""Interactive adversarial construction: the layers before a cut are trained against adversaries of their own."""
