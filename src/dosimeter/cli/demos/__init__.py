"""Audits that come with the package, as audit files."""
