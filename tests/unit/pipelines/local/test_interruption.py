"""Signals as exceptions, and what becomes of how they were dealt with before."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from headstart.pipelines.local.interruption import Interrupted, ignore_signals, raise_on_signals

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Of a terminal, whatever the tests run under."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_is_an_exception_and_the_next_one_is_not_heard(number: signal.Signals) -> None:
    with pytest.raises(Interrupted, match=number.name) as caught, raise_on_signals():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
    assert caught.value.exit_status == 128 + number
    assert [signal.getsignal(each) for each in SIGNALS] == [signal.SIG_DFL] * 3


@pytest.mark.parametrize("ignored", [signal.SIGHUP, signal.SIGINT])
def test_what_is_ignored_stays_so(ignored: signal.Signals) -> None:
    signal.signal(ignored, signal.SIG_IGN)
    with pytest.raises(Interrupted, match="SIGTERM"), raise_on_signals():
        signal.raise_signal(ignored)
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(ignored) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_thread_runs_without_handlers() -> None:
    """Python lets only the main thread set them."""

    def run() -> list[object]:
        with raise_on_signals():
            ignore_signals()
            return [signal.getsignal(each) for each in SIGNALS]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() == [signal.SIG_DFL] * 3
