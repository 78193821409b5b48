"""Step: compares variants of training."""
