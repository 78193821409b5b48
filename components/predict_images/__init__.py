"""Step: predicts the classes of new images."""
