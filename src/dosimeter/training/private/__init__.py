"""DP-SGD: accounting, heads, networks."""
