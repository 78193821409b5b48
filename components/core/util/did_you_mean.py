"""Suggestions ("did you mean …?") for a misspelt name."""

import difflib


def did_you_mean(name: str, known: list[str]) -> str:
    """Suggests the known name that is most like `name`, or lists all of them if none is similar."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
