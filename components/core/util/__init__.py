"""Errors, logs and small helpers."""
