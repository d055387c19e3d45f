"""Measurements of membership: calibration, exposure, detection limit, canaries, blind baseline, groups."""
