"""Membership's part of the page."""
