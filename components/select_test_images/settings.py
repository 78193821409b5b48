"""Settings of the selection of test images."""

LEAVE_OUT, REFUSE = "leave_out", "refuse"
UNKNOWN_CLASSES = (REFUSE, LEAVE_OUT)
"""Treatments of images of classes that the model does not know."""
