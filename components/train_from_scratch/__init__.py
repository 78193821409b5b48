"""Step: trains a small network without transfer, for comparison."""
