"""Step: fine-tunes the top layers of the backbone."""
