"""Step: selects the images that a trained model can be evaluated on."""
