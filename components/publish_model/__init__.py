"""Step: publishes a model that answers as it was evaluated."""
