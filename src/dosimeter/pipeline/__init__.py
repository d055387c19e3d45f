"""The verbs: plan, run, measure, report."""
