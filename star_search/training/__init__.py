"""Training of proxy models: trainer, schedule, stability."""
