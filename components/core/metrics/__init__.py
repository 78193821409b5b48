"""Intervals, paired tests, calibration and slices."""
