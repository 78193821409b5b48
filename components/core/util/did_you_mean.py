"""What somebody may have meant."""

import difflib


def nearest(name: str, known: list[str]) -> str:
    """Says which known name is most like `name`, and lists all of them where none is."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
