"""What probes compute, against slow twins and closed forms."""
