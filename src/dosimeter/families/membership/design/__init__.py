"""Who is trained on what: split, matrix, persons, canaries."""
