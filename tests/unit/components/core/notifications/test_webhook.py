"""Sending to a webhook: tried again where it may help, within bounds, and its address is never shown."""

import time

import pytest
from support.webhooks import SECRET, listening

from headstart.components.core.notifications import webhook
from headstart.components.core.notifications.webhook import NOTIFY_VARIABLE, NotSent, find_webhook, send
from headstart.components.core.util.errors import HeadstartError

MESSAGE = {"text": "a cat & a dög"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSE_SECONDS", (0.0, 0.0))


@pytest.mark.parametrize("statuses", [(), (500,), (429, 503)])
def test_a_message_arrives(statuses: tuple[int, ...]) -> None:
    with listening(statuses) as hook:
        send(hook.address, MESSAGE)
    assert hook.received == [MESSAGE] * (1 + len(statuses))


@pytest.mark.parametrize(
    ("statuses", "attempts"), [((404,), 1), ((302,), 1), ((403, 200), 1), ((500, 502, 503, 200), 3)]
)
def test_a_refusal_is_one_line_without_the_secret(statuses: tuple[int, ...], attempts: int) -> None:
    with listening(statuses) as hook, pytest.raises(NotSent) as raised:
        send(hook.address, MESSAGE)
    host = hook.address.partition("/services")[0]
    assert str(raised.value).startswith(f"the notification could not be sent to {host}/…: it answered ")
    # A redirect is not followed either.
    assert hook.paths == [f"/services/{SECRET}"] * attempts


def test_nobody_there() -> None:
    with listening() as hook:
        pass
    with pytest.raises(NotSent, match=r"sent to http://127\.0\.0\.1:\d+/…: it cannot be reached$"):
        send(hook.address.replace("//", "//user:password@"), MESSAGE)


def test_a_webhook_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.2)
    with listening(seconds=60) as hook, pytest.raises(NotSent, match="did not answer in time"):
        send(hook.address, MESSAGE)
    assert len(hook.received) == 3


def test_all_attempts_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PATIENCE_SECONDS", 0.3)
    started = time.monotonic()
    with listening(seconds=60) as hook, pytest.raises(NotSent, match="did not answer within 0 s"):
        send(hook.address, MESSAGE)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "given", ["hooks.slack.com/s3cr3t", "ftp://host/s3cr3t", "http:///s3cr3t", "https://h/s3cr3t x"]
)
def test_what_is_no_address_is_refused_and_not_shown(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HeadstartError, match=r"^--notify is not the address of a webhook") as raised:
        find_webhook(given)
    assert "s3cr3t" not in str(raised.value)
    monkeypatch.setenv(NOTIFY_VARIABLE, given)
    with pytest.raises(HeadstartError, match=rf"^{NOTIFY_VARIABLE} is not"):
        find_webhook()


def test_the_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_webhook() == ""
    # A Secret's value often ends with a newline.
    monkeypatch.setenv(NOTIFY_VARIABLE, "https://host/a\n")
    assert (find_webhook(), find_webhook("https://host/b")) == ("https://host/a", "https://host/b")
