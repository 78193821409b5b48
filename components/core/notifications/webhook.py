"""Sending JSON to a webhook, within bounds: an address is a secret, and no run fails because nobody listens."""

import json
import os
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from headstart import __version__
from headstart.components.core.storage.stores import is_web
from headstart.components.core.util.errors import HeadstartError

NOTIFY_VARIABLE = "HEADSTART_NOTIFY_URL"
"""Environment variable with the address of the webhook."""

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
PAUSE_SECONDS = (1.0, 4.0)
"""Pauses after the attempts that are followed by another one."""

PATIENCE_SECONDS = 45.0
"""Time for all attempts together, whatever the server does."""

_PASSING = {408, 425, 429, 500, 502, 503, 504}


class NotSent(HeadstartError):
    """A notification could not be sent; the message shows of the address only its host."""


def find_webhook(option: str = "") -> str:
    """The address of the webhook, from an option or the environment; empty where neither has one.

    Args:
        option: Value of the option `--notify`; empty: it is not given.

    Raises:
        HeadstartError: If it is no http(s) address. The message does not show it.
    """
    if option:
        return _check(option, "--notify")
    return _check(os.environ.get(NOTIFY_VARIABLE, ""), NOTIFY_VARIABLE)


def _check(address: str, source: str) -> str:
    address = address.strip()
    if not address:
        return ""
    try:
        parts = urlsplit(address)
        valid = is_web(address) and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not address.isprintable() or " " in address:
        raise HeadstartError(
            f"{source} is not the address of a webhook; give one such as https://hooks.example.com/services/…"
        )
    return address


def show_host(address: str) -> str:
    """The part of a webhook's address that may be shown: path, query, user and password are secrets."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}/…"
    except ValueError:
        return "…"


def send(address: str, message: Mapping[str, Any]) -> None:
    """Sends a message, and tries it again where the failure may pass.

    Args:
        address: Address of the webhook, see `find_webhook`.
        message: JSON object.

    Raises:
        NotSent: If no attempt succeeded within `PATIENCE_SECONDS`.
    """
    failures = [f"it did not answer within {PATIENCE_SECONDS:.0f} s"]
    body = json.dumps(message).encode()

    def deliver() -> None:
        failures[0] = _deliver(address, body)

    # Names are looked up, and headers are read, without a limit of their own.
    sender = threading.Thread(target=deliver, daemon=True)
    sender.start()
    sender.join(PATIENCE_SECONDS)
    if failures[0]:
        raise NotSent(f"the notification could not be sent to {show_host(address)}: {failures[0]}")


def _deliver(address: str, body: bytes) -> str:
    """Sends a message in several attempts; returns why it could not be sent, empty if it was."""
    for pause in (*PAUSE_SECONDS, None):
        failure, may_pass = _post(address, body)
        if not failure or not may_pass or pause is None:
            break
        time.sleep(pause)
    return failure


def _post(address: str, body: bytes) -> tuple[str, bool]:
    """Sends one request; returns why it failed, empty if it did not, and whether the failure may pass."""
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": f"headstart/{__version__}"}
    timeout = (CONNECT_SECONDS, ANSWER_SECONDS)
    try:
        # A redirect would hand the message, and perhaps the secret, to another host. The answer's body is not read.
        with requests.post(
            address, data=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True
        ) as response:
            if 200 <= response.status_code < 300:
                return "", False
            # The reason is the server's own text.
            return f"it answered {response.status_code}", response.status_code in _PASSING
    except requests.exceptions.SSLError:
        return "its certificate is not trusted", False
    except requests.Timeout:
        return "it did not answer in time", True
    except requests.ConnectionError:
        return "it cannot be reached", True
    except (requests.RequestException, ValueError) as error:
        # The error's own text has the address.
        return type(error).__name__, False
