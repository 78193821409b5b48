"""Step: measures size and speed of backbones, and the images that a budget suffices for."""
