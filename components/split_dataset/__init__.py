"""Step: splits a dataset into train, validation and test."""
