"""Membership: was this record used to train the model?"""
