"""The design: who is trained on what (split, membership matrix, persons, canaries)."""
