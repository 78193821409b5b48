"""Hyperparameters: the recipes, their files, and variants of them."""
