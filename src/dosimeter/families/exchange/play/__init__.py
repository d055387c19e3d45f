"""Games and the jobs that play them."""
