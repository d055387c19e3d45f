"""Membership's part of the report page."""
