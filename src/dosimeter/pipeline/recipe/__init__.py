"""A chain of stages that dosimeter trains."""
