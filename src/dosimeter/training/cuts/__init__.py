"""What happens at the cut of a model: defenses that are settled there, charges in training, and Fisher information."""
