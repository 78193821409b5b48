"""Step: chooses the best trial of a search for a recipe."""
