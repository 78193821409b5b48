"""Step: evaluates models on the test set, once."""
