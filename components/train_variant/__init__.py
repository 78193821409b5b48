"""Step: trains one variant of a comparison."""
