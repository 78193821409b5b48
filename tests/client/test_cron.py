"""Cron as robfig/cron 1.2 reads it; the times were taken from the Go program itself."""

import datetime

import pytest

from headstart.components.core.util.errors import HeadstartError
from headstart.pipelines.cluster.cron import parse_cron

NOW = datetime.datetime(2026, 11, 24, 5, 21, 29, tzinfo=datetime.UTC)


def following(text: str, count: int = 3) -> list[str]:
    schedule, moment, times = parse_cron(text), NOW, []
    for _ in range(count):
        found = schedule.next_after(moment)
        assert found
        times.append(f"{found:%Y-%m-%d %H:%M:%S}")
        moment = found
    return times


@pytest.mark.parametrize(
    ("text", "told", "times"),
    [
        ("30 3 * * *", "0 30 3 * * *", ["2026-11-25 03:30:00", "2026-11-26 03:30:00", "2026-11-27 03:30:00"]),
        ("15 30 3 * * MON-fri", None, ["2026-11-25 03:30:15", "2026-11-26 03:30:15", "2026-11-27 03:30:15"]),
        ("*/30 * * * *", "0 */30 * * * *", ["2026-11-24 05:30:00", "2026-11-24 06:00:00", "2026-11-24 06:30:00"]),
        ("0 0 13 * fri", "0 0 0 13 * fri", ["2026-11-27 00:00:00", "2026-12-04 00:00:00", "2026-12-11 00:00:00"]),
        ("0 0 */10 * fri", "0 0 0 */10 * fri", ["2026-12-11 00:00:00", "2027-01-01 00:00:00", "2027-05-21 00:00:00"]),
        ("0 0 ? * sun", "0 0 0 ? * sun", ["2026-11-29 00:00:00", "2026-12-06 00:00:00", "2026-12-13 00:00:00"]),
        ("40/10 5 * * *", "0 40/10 5 * * *", ["2026-11-24 05:40:00", "2026-11-24 05:50:00", "2026-11-25 05:40:00"]),
        (
            "0 12 1 jan,jul *",
            "0 0 12 1 jan,jul *",
            ["2027-01-01 12:00:00", "2027-07-01 12:00:00", "2028-01-01 12:00:00"],
        ),
        ("0 0 29 2 *", "0 0 0 29 2 *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"]),
        ("@weekly", "0 0 0 * * 0", ["2026-11-29 00:00:00", "2026-12-06 00:00:00", "2026-12-13 00:00:00"]),
        ("@every 6h", "@every 6h", ["2026-11-24 11:21:29", "2026-11-24 17:21:29", "2026-11-24 23:21:29"]),
        ("@every 1h30m", "@every 1h30m", ["2026-11-24 06:51:29", "2026-11-24 08:21:29", "2026-11-24 09:51:29"]),
    ],
)
def test_times(text: str, told: str | None, times: list[str]) -> None:
    assert parse_cron(text).expression == (told or text)
    assert following(text) == times


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 25 * * *", "cron: hour field '25': give 0 to 23"),
        ("61 * * * *", "cron: minute field '61': give 0 to 59"),
        ("99 0 3 * * *", "cron: second field '99'"),
        ("0 3 0 * *", "cron: day-of-month field '0': give 1 to 31"),
        ("0 3 * 13 *", "cron: month field '13'"),
        ("0 3 * * 7", "cron: day-of-week field '7': give 0 to 6"),
        ("0 3 * * monday", "cron: day-of-week field 'monday': 'monday' is not a number; give 0 to 6, or sun, mon"),
        ("0 5-3 * * *", "cron: hour field '5-3': 5 is after 3"),
        ("*/0 * * * *", "cron: minute field '*/0': the step must be 1 or more"),
        ("1,,2 * * * *", "cron: minute field '1,,2': '' is not a number"),
        ("0 L * * *", "cron: hour field 'L'"),
        ("0 0 31 2 *", "never comes: month '2' has no day '31'"),
        ("0 3 * *", "has 4 fields; give five (minute hour day-of-month month day-of-week), or six, second first"),
        ("", "has 0 fields"),
        ("1 2 3 4 5 6 7", "has 7 fields"),
        ("@fortnightly", "known: @yearly"),
        ("@every 6", "'6' is not a duration; give one such as 6h or 1h30m"),
        ("CRON_TZ=Europe/Berlin 0 3 * * *", "KFP takes no time zone here"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(HeadstartError) as caught:
        parse_cron(text)
    assert message in str(caught.value)
