"""How much a trained model's answers and losses move when its inputs or its weights do."""
