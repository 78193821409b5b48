"""Step: ranks backbones by their assessments."""
