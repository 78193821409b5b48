"""Objects on the web."""

import base64
import binascii
import contextlib
import hashlib
import http.client
import io
import math
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from headstart.components.core.storage.stores import transfer
from headstart.components.core.storage.stores.addresses import without_secrets
from headstart.components.core.storage.stores.objects import NotFound, Store, StoredObject
from headstart.components.core.storage.stores.transfer import Changed, Part, TransferInterrupted
from headstart.components.core.util.errors import HeadstartError

_GONE = (404, 410)
_ENDPOINTS = {"s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "gs": ("STORAGE_EMULATOR_HOST",)}
"""Environment variables with the server of a scheme's addresses, in the order of precedence."""
_PASSING = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class HttpStore(Store):
    """`http://` and `https://` addresses, each of one object."""

    def __init__(self) -> None:
        self._session = pool_connections(requests.Session())

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Lists the object at `uri`, without size and version if the server does not answer HEAD requests."""
        with transfer.call_with_retries(
            without_secrets(uri), lambda: send(self._session, "HEAD", uri, {"Accept-Encoding": "identity"})
        ) as response:
            if response.status_code in _GONE:
                return
            headers: Mapping[str, str] = response.headers if response.ok else {}
            parts = urlsplit(uri)
            name = unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname or ""
            yield StoredObject(uri, name, _length(headers, uri), _version(headers))

    def open_part(self, uri: str, start: int, version: str) -> Part:
        """Requests the bytes from `start` on if the object has not changed, and otherwise all bytes."""
        headers = {"Accept-Encoding": "identity"}
        # A weak ETag promises equal meaning, not equal bytes.
        if start and not version.startswith("W/"):
            headers |= {"Range": f"bytes={start}-", "If-Range": version}
        response = send(self._session, "GET", uri, headers)
        if response.status_code in (200, 206):
            return make_part(response, _version(response.headers, version), _digest(response.headers))
        response.close()
        answer = f"cannot read {without_secrets(uri)}: {response.status_code} {response.reason}"
        match response.status_code:
            case 416:
                raise Changed
            case 404 | 410:
                raise NotFound(f"{answer}; check the address")
            case 401 | 403:
                raise HeadstartError(
                    f"{answer}; if it is not public, give a signed address or http(s)://USER:PASSWORD@HOST/…"
                )
        raise HeadstartError(f"{answer}; check the address")


def pool_connections(session: requests.Session) -> requests.Session:
    """Lets a session keep a connection for each reading thread."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(pool_maxsize=transfer.CONNECTIONS))
    return session


class _Adapter(HTTPAdapter):
    """Gives up a server that sends its headers byte by byte, each within the read timeout."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Response(http.client.HTTPResponse):
    def begin(self) -> None:
        paced = _Paced(self.fp.detach())
        self.fp = io.BufferedReader(paced)
        super().begin()
        paced.until = math.inf


class _Paced(io.RawIOBase):
    """Reads a socket until a deadline."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.until = time.monotonic() + transfer.SLOW_START_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self.until:
            raise TimeoutError("its headers did not end in time")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def send(
    session: requests.Session, method: str, url: str, headers: dict[str, str], params: dict[str, str] | None = None
) -> requests.Response:
    """Sends one request; the body of the response is still to be read.

    Raises:
        TransferInterrupted: If the server cannot be reached, does not answer in time, or is temporarily unavailable.
        HeadstartError: If the address is invalid, or the certificate of the server is not trusted.
    """
    timeout = (transfer.CONNECT_SECONDS, transfer.READ_SECONDS)
    try:
        response = session.request(method, url, headers=headers, params=params, stream=True, timeout=timeout)
    except (requests.RequestException, ValueError) as error:
        raise translate_error(error, url) from None
    if response.status_code in transfer.PASSING:
        response.close()
        pause = retry_after(response.headers.get("Retry-After"))
        raise TransferInterrupted(f"{response.status_code} {response.reason}", pause)
    return response


def make_part(response: requests.Response, version: str, digest: tuple[str, bytes] | None) -> Part:
    """Makes a part of an object from a response of status 200 or 206."""
    start, size = 0, _length(response.headers, response.url)
    if response.status_code == requests.codes.partial_content:
        start, size = content_range(response.headers.get("Content-Range", ""))

    def chunks() -> Iterator[bytes]:
        try:
            # A server that sends single bytes would never fill a chunk.
            while chunk := response.raw.read1(transfer.CHUNK_BYTES, decode_content=False):
                yield chunk
        except (HTTPError, OSError) as error:
            raise translate_error(error, response.url) from None

    return Part(start, size, version, digest, chunks(), response.close)


def _length(headers: Mapping[str, str], url: str) -> int:
    """Size in bytes that a response states; -1 if it states none.

    Raises:
        HeadstartError: If it is not a valid size.
    """
    value = headers.get("Content-Length")
    if value is None:
        return -1
    if not re.fullmatch(r"[0-9]{1,18}", value.strip()):
        raise HeadstartError(
            f"cannot read {without_secrets(url)}: its server states the Content-Length {value[:40]!r}, which is not "
            "a size; tell whoever runs it"
        )
    return int(value)


def content_range(value: str) -> tuple[int, int]:
    """First byte and total size in a `Content-Range` header; the size is -1 if it is not stated.

    Raises:
        TransferInterrupted: If the header is missing or invalid.
    """
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", value.strip())
    if not found:
        raise TransferInterrupted("a part came without its range")
    return int(found[1]), -1 if found[2] == "*" else int(found[2])


def retry_after(value: str | None) -> float:
    """Seconds that a `Retry-After` header asks for; 0 without one."""
    try:
        return Retry().parse_retry_after(value) if value else 0.0
    except InvalidHeader:
        return 0.0


def translate_error(error: BaseException, url: str, doing: str = "read") -> Exception:
    """Translates the error of a client library to `TransferInterrupted`, or to a final error if retries cannot help.

    Messages of the libraries repeat the whole address with its secrets, so only the innermost cause is shown.
    """
    if isinstance(error, (requests.RequestException, ValueError)) and not isinstance(error, _PASSING):
        return HeadstartError(f"cannot {doing} {without_secrets(url)}: {type(error).__name__}; check the address")
    while not (isinstance(error, TimeoutError) or getattr(error, "strerror", None)) and (below := _below(error)):
        error = below
    if isinstance(error, ssl.SSLCertVerificationError):
        return HeadstartError(
            f"cannot {doing} {without_secrets(url)}: {error.verify_message}; set REQUESTS_CA_BUNDLE or AWS_CA_BUNDLE "
            "to the certificates to trust"
        )
    if isinstance(error, socket.gaierror):
        name, way_out = _server_of(url)
        if error.errno == socket.EAI_NONAME:
            return HeadstartError(f"cannot {doing} {without_secrets(url)}: {name} does not resolve; {way_out}")
        return TransferInterrupted(f"{name} does not resolve")
    if isinstance(error, TimeoutError):
        return TransferInterrupted("it did not answer in time")
    return TransferInterrupted(getattr(error, "strerror", None) or type(error).__name__)


def _server_of(url: str) -> tuple[str, str]:
    """Name of an address's server in messages, and the way out if the name is wrong."""
    parts = urlsplit(url)
    for variable in _ENDPOINTS.get(parts.scheme, ()):
        if endpoint := os.environ.get(variable):
            host = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").hostname or endpoint
            return f"the name {host!r}", f"check {variable}, which is {without_secrets(endpoint)}"
    if parts.scheme in _ENDPOINTS:
        return f"the name of the server of {parts.scheme}:// addresses", "check the network, and the region's name"
    return f"the name {parts.hostname!r}", "check the address"


def _below(error: BaseException) -> BaseException | None:
    nested: tuple[Any, ...] = (getattr(error, "reason", None), *error.args, error.__cause__, error.__context__)
    return next((each for each in nested if isinstance(each, BaseException)), None)


def _version(headers: Mapping[str, str], known: str = "") -> str:
    """Version of the object in a response: a strong ETag, else the time of its last change, else a weak ETag."""
    tag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    if known and known in (tag, modified):
        return known
    return tag if tag.startswith('"') else modified or tag


def _digest(headers: Mapping[str, str]) -> tuple[str, bytes] | None:
    for algorithm, header, pattern in (
        ("sha256", "Repr-Digest", r"sha-256=:([^:]+):"),
        ("sha256", "Digest", r"sha-256=([^,\s]+)"),
        ("md5", "Content-MD5", r"(\S+)"),
    ):
        if found := re.search(pattern, headers.get(header, ""), re.IGNORECASE):
            with contextlib.suppress(binascii.Error):
                value = base64.b64decode(found[1], validate=True)
                # Some servers send hexadecimal, which may pass for base64.
                if len(value) == hashlib.new(algorithm, usedforsecurity=False).digest_size:
                    return algorithm, value
    return None
