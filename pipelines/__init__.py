"""Pipelines made of the components, and the commands that run them."""
