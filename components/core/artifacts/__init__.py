"""What passes between steps: datasets, models, predictions, evaluations, each with its reader and writer."""
