"""Line of a task on a terminal: it is never wider than the terminal, and never loses the task's name."""

import dataclasses

from rich.text import Text

_BAR_FROM = 70
"""Narrowest terminal, in columns, with bars."""

_SHORTEST_BAR, _LONGEST_BAR = 6, 20
_ELAPSED, _LEFT = 5, 10
"""Columns of the elapsed time and of the time left."""

_SHORTEST_BODY, _USUAL_BODY = 20, 24
"""Columns of phase and count: those that are always kept, and those that most phases need."""

_MINUTE, _HOUR = 60, 3600


@dataclasses.dataclass(frozen=True)
class TaskLine:
    """Content of the line.

    Attributes:
        mark: Mark before the line: a spinner or a tick; one character.
        style: Style of mark and bar, such as ``green``.
        number: Number among all tasks, such as ``3/6``; empty: there is only this one.
        name: Name of the task.
        variant: Variant that the task is about; empty: none.
        phase: Present phase, such as ``features``.
        count: Count of the phase, such as ``1,200/2,000``; empty: unknown.
        figures: Further figures, the most important first; those that have no room are left out.
        share: Finished share of the phase, 0 to 1; None: no bar.
        elapsed: Elapsed time.
        left: Time left; empty: unknown.
        dim: Whether the whole line is dim.
    """

    mark: str
    style: str
    number: str
    name: str
    variant: str = ""
    phase: str = ""
    count: str = ""
    figures: tuple[str, ...] = ()
    share: float | None = None
    elapsed: str = ""
    left: str = ""
    dim: bool = False


@dataclasses.dataclass(frozen=True)
class Layout:
    """Widths of the columns, in characters; the same for all lines of a display.

    Attributes:
        number: Number of the task; 0: no numbers.
        title: Name of the task and its variant.
        body: Phase, count and figures.
        bar: Bar; 0: there is no room for one.
        left: Time left; 0: it stands among the figures.
    """

    number: int
    title: int
    body: int
    bar: int
    left: int

    @classmethod
    def fit(cls, width: int, number: int, name: int, title: int) -> "Layout":
        """Chooses widths so that a line fits a terminal.

        A narrow terminal loses the bar first, then the column of the time left; a variant's name is shortened before
        phase and count are.

        Args:
            width: Columns of the terminal.
            number: Length of the longest number; 0: no numbers.
            name: Length of the longest name of a task.
            title: Length of the longest name with its variant.
        """
        # The last column stays empty: some terminals wrap after a character there.
        room = width - 1 - 2 - (number + 1 if number else 0) - 2 - (1 + _ELAPSED)
        bar = _SHORTEST_BAR + 1 if width >= _BAR_FROM else 0
        title = min(title, max(name, room - bar - _SHORTEST_BODY))
        room -= title
        left = _LEFT + 1 if bar and room - bar - _LEFT - 1 >= _USUAL_BODY else 0
        if bar:
            bar = min(_LONGEST_BAR, max(_SHORTEST_BAR, room - left - _USUAL_BODY - 4)) + 1
        return cls(number, title, max(0, room - bar - left), max(0, bar - 1), max(0, left - 1))


def render_line(line: TaskLine, layout: Layout, unicode: bool = True) -> Text:
    """Renders a line; its parts stand below each other in all lines of a layout.

    Args:
        line: Content of the line.
        layout: Widths of the columns.
        unicode: Whether the terminal shows other characters than ASCII.
    """
    text = Text(no_wrap=True, overflow="crop", style="dim" if line.dim else "")
    text.append(f"{line.mark} ", style=line.style)
    if layout.number:
        text.append(f"{line.number:>{layout.number}} ")
    title = _cut_title(line, layout.title, unicode)
    # A phase that is too long for its column takes the blanks before it.
    missing = len(f"{line.phase} {line.count}".strip()) - layout.body
    moved = max(0, min(missing, layout.title - len(title)))
    text.append(f"{title:<{layout.title - moved}}")
    figures = line.figures if layout.left or not line.left else (line.left, *line.figures)
    text.append("  ")
    text.append_text(_render_body(line, figures, layout.body + moved, unicode))
    if layout.bar:
        text.append(" ")
        text.append_text(_render_bar(line, layout.bar, unicode))
    text.append(f" {line.elapsed:>{_ELAPSED}}")
    if layout.left and line.left:
        text.append(f" {line.left:>{layout.left}}", style="dim")
    return text


def format_seconds(seconds: float) -> str:
    """A duration as on a clock: ``0:07``, ``12:34``, ``1:02:03``."""
    hours, rest = divmod(int(seconds), _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_left(seconds: float) -> str:
    """The time left: ``0:45 left``; in hours from one hour on."""
    return f"{format_seconds(seconds) if seconds < _HOUR else f'{seconds / _HOUR:.0f} h'} left"


def _cut_title(line: TaskLine, width: int, unicode: bool) -> str:
    if not line.variant:
        return line.name
    return f"{line.name} {_cut(line.variant, width - len(line.name) - 1, unicode)}".rstrip()


def _render_body(line: TaskLine, figures: tuple[str, ...], width: int, unicode: bool) -> Text:
    """Phase, count, and as many of the figures as there is room for."""
    room = width - len(line.count) - bool(line.count)
    body = Text(" ".join(filter(None, [_cut(line.phase, room, unicode), line.count])))
    for figure in figures:
        between = "  " if len(body) + 2 + len(figure) <= width else " "
        if figure and len(body) + len(between) + len(figure) <= width:
            body.append(between)
            body.append(figure, style="dim")
    body.truncate(width)
    body.pad_right(width - len(body))
    return body


def _render_bar(line: TaskLine, width: int, unicode: bool) -> Text:
    if line.share is None:
        return Text(" " * width)
    done, rest = ("━", "─") if unicode else ("=", "-")
    # Full at the end only.
    filled = width if line.share >= 1 else min(width - 1, int(line.share * width))
    return Text.assemble((done * filled, line.style), (rest * (width - filled), "dim"))


def _cut(text: str, width: int, unicode: bool) -> str:
    if len(text) <= width:
        return text
    sign = "…" if unicode else "~"
    return f"{text[: width - 1]}{sign}" if width > 1 else ""
