"""Step: trains one trial of a search for a recipe."""
