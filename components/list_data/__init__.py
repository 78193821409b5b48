"""Step: lists the data, so that unchanged data are not read again."""
