"""Step: notifies a webhook of the end of a run."""
