"""Cron expressions as KFP's controller reads them: robfig/cron 1.2, six fields, seconds first.

https://pkg.go.dev/github.com/robfig/cron@v1.2.0 documents the fields. It differs from cron libraries for Python: `?`
stands for `*`, Sunday is 0 and never 7, `N/step` runs to the field's end, and `*/2` counts as a star where day of
month and day of week are combined. So fields are read here, with messages that name them. A library such as cronsim
would replace `next_after` alone, and would need every field translated first.
"""

import dataclasses
import datetime
import re
from typing import Protocol

from headstart.components.core.util.errors import HeadstartError

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_NAMED = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_EVERY = "@every "
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|m|s|us|µs|ns)")
_YEARS_AHEAD = 5


@dataclasses.dataclass(frozen=True)
class _Field:
    name: str
    lowest: int
    highest: int
    names: dict[str, int] = dataclasses.field(default_factory=dict)


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day-of-month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day-of-week", 0, 6, _DAYS),
)


class CronSchedule(Protocol):
    """Times at which something happens again and again.

    Attributes:
        expression: Expression for KFP.
    """

    @property
    def expression(self) -> str:
        """Expression for KFP."""
        ...

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """The first time after a moment, to the second; None if there is none in five years."""
        ...


@dataclasses.dataclass(frozen=True)
class _FieldSchedule:
    """Times by second, minute, hour, day of month, month and day of week."""

    expression: str
    allowed: tuple[frozenset[int], ...]
    either_day: bool

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        start = moment.replace(microsecond=0) + datetime.timedelta(seconds=1)
        seconds, minutes, hours = (sorted(values) for values in self.allowed[:3])
        day = start.date()
        while day.year <= start.year + _YEARS_AHEAD:
            earliest = start.time() if day == start.date() else datetime.time()
            if self._allows(day):
                for hour in (each for each in hours if each >= earliest.hour):
                    for minute in minutes:
                        for second in seconds:
                            time = datetime.time(hour, minute, second)
                            if time >= earliest:
                                return datetime.datetime.combine(day, time, start.tzinfo)
            day += datetime.timedelta(days=1)
        return None

    def _allows(self, day: datetime.date) -> bool:
        days, months, weekdays = self.allowed[3:]
        if day.month not in months:
            return False
        of_month, of_week = day.day in days, day.isoweekday() % 7 in weekdays
        return of_month or of_week if self.either_day else of_month and of_week


@dataclasses.dataclass(frozen=True)
class _IntervalSchedule:
    """Times at equal intervals, from the moment the schedule is made."""

    expression: str
    seconds: int

    def next_after(self, moment: datetime.datetime) -> datetime.datetime | None:
        return moment.replace(microsecond=0) + datetime.timedelta(seconds=self.seconds)


def parse_cron(text: str) -> CronSchedule:
    """Reads a cron expression.

    Args:
        text: Five fields (minute hour day-of-month month day-of-week), before which a second of 0 is put, since KFP
            reads the first field as seconds; six fields, seconds first; `@yearly`, `@monthly`, `@weekly`, `@daily`
            or `@hourly`; or `@every` with a duration such as `6h` or `1h30m`.

    Raises:
        HeadstartError: If it is none of these, or never comes true; the message names the field.
    """
    text = " ".join(text.split())
    if text.startswith(_EVERY):
        return _parse_interval(text)
    if text.startswith("@") and text not in _NAMED:
        raise HeadstartError(f"cron {text!r}: unknown; known: {', '.join(_NAMED)}, '@every 6h'")
    if "TZ=" in text:
        raise HeadstartError(
            f"cron {text!r}: KFP takes no time zone here; that of its controller applies, UTC by default"
        )
    fields = _NAMED.get(text, text).split(" ")
    if len(fields) == len(_FIELDS) - 1:
        fields = ["0", *fields]
    if len(fields) != len(_FIELDS) or not text:
        names = " ".join(field.name for field in _FIELDS[1:])
        raise HeadstartError(
            f"cron {text!r} has {len(text.split())} fields; give five ({names}), or six, second first"
        )
    read = [_read_field(field, given) for field, given in zip(_FIELDS, fields, strict=True)]
    either_day = not (read[3][1] or read[5][1])
    times = _FieldSchedule(" ".join(fields), tuple(values for values, _ in read), either_day)
    if times.next_after(datetime.datetime.now(datetime.UTC)) is None:
        raise HeadstartError(f"cron {text!r} never comes: month {fields[4]!r} has no day {fields[3]!r}")
    return times


def _parse_interval(text: str) -> _IntervalSchedule:
    duration = text.removeprefix(_EVERY).strip()
    if not duration or _DURATION.sub("", duration):
        raise HeadstartError(f"cron {text!r}: {duration!r} is not a duration; give one such as 6h or 1h30m")
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION.findall(duration))
    return _IntervalSchedule(f"{_EVERY}{duration}", max(1, int(seconds)))


def _read_field(field: _Field, text: str) -> tuple[frozenset[int], bool]:
    """Values that a field allows, and whether there is a star among them."""
    values: set[int] = set()
    star = False
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(field, text, step_text) if slash else 1
        if step < 1:
            raise _wrong(field, text, "the step must be 1 or more")
        if span in ("*", "?"):
            star = True
            low, high = field.lowest, field.highest
        else:
            first, dash, last = span.partition("-")
            low = _number(field, text, first)
            high = _number(field, text, last) if dash else field.highest if slash else low
        if low < field.lowest or high > field.highest:
            raise _wrong(field, text, f"give {field.lowest} to {field.highest}")
        if low > high:
            raise _wrong(field, text, f"{low} is after {high}")
        values |= set(range(low, high + 1, step))
    return frozenset(values), star


def _number(field: _Field, text: str, word: str) -> int:
    if word.lower() in field.names:
        return field.names[word.lower()]
    if not (word.isascii() and word.isdecimal()):
        names = f", or {', '.join(field.names)}" if field.names else ""
        raise _wrong(field, text, f"{word!r} is not a number; give {field.lowest} to {field.highest}{names}")
    return int(word)


def _wrong(field: _Field, text: str, reason: str) -> HeadstartError:
    return HeadstartError(f"cron: {field.name} field {text!r}: {reason}")
