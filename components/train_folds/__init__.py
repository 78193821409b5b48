"""Step: trains a model for each of some cross-validation folds."""
