"""Natural order of file names: `cat.2.jpg` before `cat.10.jpg`."""

import re


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key that compares runs of digits as numbers and everything else as text.

    Example:
        >>> sorted(["cat.10.jpg", "cat.2.jpg"], key=natural_key)
        ['cat.2.jpg', 'cat.10.jpg']
    """
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
