"""Files from the web, brought to disk whole or not at all."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from headstart.components.core.errors import HeadstartError

_CONNECT_SECONDS = 20
_READ_SECONDS = 60
_CHUNK_BYTES = 2**20
_RETRIES = Retry(
    total=5,
    backoff_factor=0.5,
    backoff_jitter=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET",),
)


def is_url(text: str) -> bool:
    """Whether `text` is an `http://` or `https://` address."""
    return text.startswith(("http://", "https://"))


def download(url: str, target: Path, what: str, way_out: str) -> Path:
    """Downloads `url` to `target`; the target appears only when every byte has come.

    429, 5xx and refused or reset connections are tried again with growing pauses, five times.

    Args:
        url: An `http(s)://` address.
        target: The file to make.
        what: What is downloaded, for the error: ``weights``, ``archive``.
        way_out: What the user can do instead, for the error.

    Raises:
        HeadstartError: The file cannot be had, or arrived incomplete.
    """
    partial = target.with_name(target.name + ".partial")
    name = without_secrets(url)
    try:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=_RETRIES))
            session.mount("https://", HTTPAdapter(max_retries=_RETRIES))
            with session.get(url, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)) as response:
                if not response.ok:
                    reason = f"{response.status_code} {response.reason}"
                    raise HeadstartError(f"cannot download {what} from {name}: {reason}; {way_out}")
                # `requests` ends quietly at a dropped connection; urllib3 can be told not to.
                response.raw.enforce_content_length = True
                with partial.open("wb") as file:
                    for chunk in response.iter_content(_CHUNK_BYTES):
                        file.write(chunk)
    except (requests.RequestException, HTTPError) as error:
        raise HeadstartError(f"cannot download {what} from {name}: {_cause(error)}; {way_out}") from None
    return partial.replace(target)


def without_secrets(url: str) -> str:
    """The address without user, password, query and fragment: signed URLs carry their secret there."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _cause(error: BaseException) -> str:
    # The library's own text repeats the whole address, query and all, so only the kind of failure is told.
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason or error).__name__
