"""What the first page says in words."""
