"""Step: assesses a backbone on labelled images without training it."""
