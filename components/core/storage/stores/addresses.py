"""Addresses of stored objects.

`gs://` and `s3://` addresses hold object names as they are, as in the stores' own command lines: `#`, `?`, `%` and
spaces stand for themselves.
"""

import hashlib
import re
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from headstart.components.core.util.errors import HeadstartError

_WEB = ("http", "https")
SCHEMES = (*_WEB, "gs", "s3")
WRITABLE_SCHEMES = ("", "gs", "s3")
"""Schemes that `open_tree` knows; empty: a path."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MISTYPED = re.compile(rf"({'|'.join(SCHEMES)}):/?(?=[^/])", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"(?:^|[-_.])(?:sig|signature|token|secret|password|passwd|pwd|credential|auth|authorization|bearer|jwt|sas)$"
    r"|^key$|(?:api|access)[-_.]?key(?:[-_.]?id)?$|(?:access|auth|security)token$",
    re.IGNORECASE,
)
"""Name of a query parameter that holds a credential: `sig`, `X-Amz-Signature`, `api_key`.

Only addresses that are refused are told by it: what is shown has no parameter's value at all, see `without_secrets`.
"""

_SIGNS = re.compile(
    r"x-(?:amz|goog)-.*|expires?|policy|key-pair-id|awsaccesskeyid|googleaccessid|se|st|sp|sv|sr|spr|sk[a-z]{1,3}",
    re.IGNORECASE,
)
"""Name of a query parameter whose value changes when the address is signed again."""

_DIGEST_LETTERS = 8


def scheme_of(text: str) -> str:
    """The scheme before `://`, in lower case; empty for a local path."""
    found = _SCHEME.match(text)
    return found[1].lower() if found else ""


def is_remote(text: str) -> bool:
    """Whether `text` is an address that `open_store` knows."""
    return scheme_of(text) in SCHEMES


def is_web(text: str) -> bool:
    """Whether `text` is an `http(s)://` address."""
    return scheme_of(text) in _WEB


def is_local(text: str) -> bool:
    """Whether `text` is a path on this machine, which may be written as `file://`."""
    return scheme_of(text) in ("", "file")


def check_address(text: str, what: str = "address") -> None:
    """Refuses a mistyped address; valid addresses and paths pass.

    Args:
        text: Path or address.
        what: Name of it in the message.

    Raises:
        HeadstartError: If a slash is missing after the scheme, or the host cannot be parsed.
    """
    if mistyped := _MISTYPED.match(text):
        meant = without_secrets(f"{mistyped[1]}://{text[mistyped.end() :]}")
        typed = mistyped[0] + meant.partition("://")[2]
        raise HeadstartError(
            f"{what} {typed!r} would be read as a path; did you mean {meant!r}? If not, put ./ in front of it"
        )
    try:
        urlsplit(text if is_remote(text) else "")
    except ValueError:
        raise HeadstartError(f"{what} {without_secrets(text)!r} is not a valid address; check its host") from None


def has_credentials(url: str) -> bool:
    """Whether an address carries credentials.

    These are a user or a password, and on the web a query parameter named like a signature or a token.
    """
    parts = urlsplit(url)
    named = parse_qsl(parts.query, keep_blank_values=True) if is_web(url) else []
    return "@" in parts.netloc or any(_CREDENTIAL.search(name) for name, _ in named)


def without_secrets(url: str) -> str:
    """The address as it may be shown: without user, password, query and fragment, where signed URLs carry secrets.

    In object names `?` and `#` are plain characters, so `gs://` and `s3://` addresses lose only user and password. A
    path stays unchanged.
    """
    if not scheme_of(url):
        return url
    if scheme_of(url) in ("gs", "s3"):
        bucket, slash, name = url.partition("://")[2].partition("/")
        return f"{scheme_of(url)}://{bucket.rpartition('@')[2]}{slash}{name}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme_of(url)}://…"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def distinct_without_secrets(url: str) -> str:
    """The address as `without_secrets` shows it, but different for each image that the query tells apart.

    The names of the parameters stay, and a short digest of their values takes the place of the fragment:
    `https://host/image?id=…#5f2b9c01`. Parameters of a signature are left out, so that an image keeps its name when
    its address is signed again.
    """
    plain = without_secrets(url)
    try:
        given = parse_qsl(urlsplit(url).query, keep_blank_values=True) if is_web(url) else []
    except ValueError:
        return plain
    named = [(name, value) for name, value in given if not (_CREDENTIAL.search(name) or _SIGNS.fullmatch(name))]
    if not named:
        return plain
    digest = hashlib.sha256(repr(named).encode(errors="backslashreplace")).hexdigest()[:_DIGEST_LETTERS]
    return f"{plain}?{'&'.join(f'{name}=…' for name, _ in named)}#{digest}"


def split_address(uri: str) -> tuple[str, str]:
    """Splits a `gs://` or `s3://` address into bucket and object name; the name is empty for a whole bucket.

    Raises:
        HeadstartError: If it names no bucket.
    """
    bucket, _, name = uri.partition("://")[2].partition("/")
    if not bucket or "@" in bucket:
        raise HeadstartError(f"{without_secrets(uri)!r} names no bucket; write {scheme_of(uri)}://BUCKET/NAME")
    return bucket, name
