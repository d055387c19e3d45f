"""Families of attack: what each may be asked for, and a folder for each. Importing them loads no PyTorch."""

from collections.abc import Mapping

from dosimeter.families.membership.family import MEMBERSHIP, Membership

FAMILIES: Mapping[str, Membership] = {MEMBERSHIP.name: MEMBERSHIP}
"""All families that are installed, by name."""
