"""Step: compares a candidate with the champion."""
