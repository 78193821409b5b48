"""Step: lays variants of training side by side."""
