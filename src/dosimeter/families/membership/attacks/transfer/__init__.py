"""Attacks on a stage that is followed by others: they query the finetuned model about pretraining records."""
