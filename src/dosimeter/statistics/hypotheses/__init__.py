"""Tests of a leak: by permutation, of a membership that was stated, and what is shown of whom."""
