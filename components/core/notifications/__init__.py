"""Notifications of the end of a run: what they say, and how they are sent to a webhook."""
