"""Step: reads and checks labelled images."""
