"""Addresses of stored objects.

`gs://` and `s3://` carry object names as they are, like the stores' own command lines: `#`, `?`, `%` and spaces
stand for themselves.
"""

import hashlib
import re
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from headstart.components.core.util.errors import HeadstartError

_WEB = ("http", "https")
SCHEMES = (*_WEB, "gs", "s3")
WRITABLE_SCHEMES = ("", "gs", "s3")
"""Of addresses that `open_tree` knows; of a path it is empty."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MISTYPED = re.compile(rf"({'|'.join(SCHEMES)}):/?(?=[^/])", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"(?:^|[-_.])(?:sig|signature|token|secret|password|passwd|pwd|credential|auth|authorization|bearer|jwt|sas)$"
    r"|^key$|(?:api|access)[-_.]?key(?:[-_.]?id)?$|(?:access|auth|security)token$",
    re.IGNORECASE,
)
"""The name of a query's parameter that holds one, alone or at the end: `sig`, `X-Amz-Signature`, `api_key`.

Only for what is refused: whatever is shown is without the value of any parameter, see `without_secrets`.
"""

_SIGNS = re.compile(
    r"x-(?:amz|goog)-.*|expires?|policy|key-pair-id|awsaccesskeyid|googleaccessid|se|st|sp|sv|sr|spr|sk[a-z]{1,3}",
    re.IGNORECASE,
)
"""The name of a parameter that goes with a signature, and is another one when the address is signed again."""

_DIGEST_LETTERS = 8


def scheme_of(text: str) -> str:
    """What stands before `://`, in lower case; empty for a local path."""
    found = _SCHEME.match(text)
    return found[1].lower() if found else ""


def is_remote(text: str) -> bool:
    """Whether `text` is an address that `open_store` knows."""
    return scheme_of(text) in SCHEMES


def is_web(text: str) -> bool:
    """Whether `text` is an `http(s)://` address."""
    return scheme_of(text) in _WEB


def is_local(text: str) -> bool:
    """Whether `text` is a path of this machine, also as `file://`."""
    return scheme_of(text) in ("", "file")


def check_address(text: str, what: str = "address") -> None:
    """Refuses what is meant for an address and is none; any other path or address passes.

    Args:
        text: A path or an address.
        what: Names it in the message.

    Raises:
        HeadstartError: A slash is missing after the scheme, or the host cannot be told from the rest.
    """
    if mistyped := _MISTYPED.match(text):
        meant = without_secrets(f"{mistyped[1]}://{text[mistyped.end() :]}")
        typed = mistyped[0] + meant.partition("://")[2]
        raise HeadstartError(
            f"{what} {typed!r} is a path as it stands; did you mean {meant!r}? If not, put ./ in front of it"
        )
    try:
        urlsplit(text if is_remote(text) else "")
    except ValueError:
        raise HeadstartError(f"{what} {without_secrets(text)!r} is no address; check its host") from None


def has_credentials(url: str) -> bool:
    """Whether whoever sees an address can use the rights of another.

    It has a user or a password, or, on the web, a parameter whose name speaks of a signature, a token or the like.
    """
    parts = urlsplit(url)
    named = parse_qsl(parts.query, keep_blank_values=True) if is_web(url) else []
    return "@" in parts.netloc or any(_CREDENTIAL.search(name) for name, _ in named)


def without_secrets(url: str) -> str:
    """The address as it may be shown: without user, password, query and fragment, where signed URLs carry secrets.

    In object names `?` and `#` are plain characters, so of `gs://` and `s3://` only user and password are cut. A path
    stays as it is.
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
    """The address as `without_secrets` has it, and another one for each picture where a query says which it is.

    Of each parameter its name stays, and of their values together a short digest, in the place of a fragment:
    `https://host/image?id=…#5f2b9c01`. What signs an address is left out of both, so that the same picture is called
    the same when it is signed again.
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
    """Bucket and object name of a `gs://` or `s3://` address; the name is empty for a whole bucket.

    Raises:
        HeadstartError: It names no bucket.
    """
    bucket, _, name = uri.partition("://")[2].partition("/")
    if not bucket or "@" in bucket:
        raise HeadstartError(f"{without_secrets(uri)!r} names no bucket; write {scheme_of(uri)}://BUCKET/NAME")
    return bucket, name
