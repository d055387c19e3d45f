"""What adversaries and judges train for themselves: priors of records, and judges who recognise identities."""
