"""Step: trains a head on the frozen backbone."""
