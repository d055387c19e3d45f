"""Log-MIA with its evidence: the measure, what chance gives, and grades of a leak."""
