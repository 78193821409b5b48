"""Step: proposes the next trials of a search for a recipe."""
