"""From a chain with a joint stage to the jobs of a threat."""
