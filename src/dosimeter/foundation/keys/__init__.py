"""What cache keys are made of: this package's code, the user's code and what it reads."""
