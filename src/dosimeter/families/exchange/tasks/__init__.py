"""The question of tasks: which persons, classes or users was the shared encoder trained on?"""
