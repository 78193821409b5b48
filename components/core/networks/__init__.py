"""Classifiers as Keras networks: building, cutting, weights, saving, inference."""
