"""What models and encoders tell of whole sets of records: of tasks, and of distributions."""
