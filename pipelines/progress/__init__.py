"""Events of a run, and their display in a terminal."""
