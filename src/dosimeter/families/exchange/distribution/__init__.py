"""The question of a distribution: of which of two shares of records with a property was a training?"""
