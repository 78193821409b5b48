"""Published versions of models, and which of them is the champion."""
