"""Step: combines the results of cross-validation folds."""
