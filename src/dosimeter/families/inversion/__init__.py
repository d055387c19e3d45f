"""Inversion: could somebody make a picture by which a person of the training data is recognised?"""
