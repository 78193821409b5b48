"""Step: looks up the champion."""
