"""Objects in Google Cloud Storage.

`google-cloud-storage` lists and writes. Reading is implemented here: that client does not verify what it resumes, and
ignores `Retry-After`.
"""

import base64
import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import google.auth
import google_crc32c
import requests
from google.api_core.exceptions import Forbidden, GoogleAPICallError, Unauthorized
from google.api_core.exceptions import NotFound as ApiNotFound
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.auth.transport import DEFAULT_REFRESH_STATUS_CODES
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from headstart.components.core.storage.stores import transfer
from headstart.components.core.storage.stores.addresses import split_address
from headstart.components.core.storage.stores.http import (
    make_part,
    pool_connections,
    retry_after,
    send,
    translate_error,
)
from headstart.components.core.storage.stores.objects import NotFound, StoredObject, WritableStore
from headstart.components.core.storage.stores.transfer import Changed, Part, TransferInterrupted
from headstart.components.core.util.errors import HeadstartError

T = TypeVar("T")

_WRONG_CHECKSUM = re.compile(r"(?i)provided (crc32c|md5)\b.* doesn't match")
_SCOPE = "https://www.googleapis.com/auth/devstorage."


class GcsStore(WritableStore):
    """`gs://` addresses, with the application default credentials, or anonymously if there are none.

    Args:
        writes: Whether to request the scope for writing.

    Raises:
        HeadstartError: If the credentials of the environment cannot be used.
    """

    # Generations are times in microseconds.
    no_version = "1"

    def __init__(self, writes: bool = False) -> None:
        credentials = _credentials(f"{_SCOPE}{'read_write' if writes else 'read_only'}")
        self._anonymous = isinstance(credentials, AnonymousCredentials)
        # A session renews refused credentials, which fails for anonymous ones.
        renewed = () if self._anonymous else DEFAULT_REFRESH_STATUS_CODES
        self._session = pool_connections(AuthorizedSession(credentials, refresh_status_codes=renewed))
        self._client = storage.Client(project="<none>", credentials=credentials, _http=self._session)

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Lists objects; their versions are generations."""
        bucket_name, name = split_address(uri)
        bucket = self._client.bucket(bucket_name)
        timeout = (transfer.CONNECT_SECONDS, transfer.READ_SECONDS)
        if name and not name.endswith("/"):
            blob = self._call_with_retries(uri, lambda: bucket.get_blob(name, retry=None, timeout=timeout))
            if blob is not None:
                yield StoredObject(uri, name.rpartition("/")[2], blob.size, str(blob.generation))
                return
            name += "/"

        def page(token: str | None) -> tuple[Iterator[storage.Blob], str | None]:
            found = self._client.list_blobs(
                bucket,
                prefix=name,
                page_token=token,
                fields="items(name,size,generation),nextPageToken",
                retry=None,
                timeout=timeout,
            )
            return next(found.pages), found.next_page_token

        token = None
        while True:
            blobs, token = self._call_with_retries(uri, lambda token=token: page(token))  # type: ignore[misc]
            for blob in blobs:
                if not blob.name.endswith("/"):
                    yield StoredObject(
                        f"gs://{bucket_name}/{blob.name}", blob.name[len(name) :], blob.size, str(blob.generation)
                    )
            if not token:
                return

    def open_part(self, uri: str, start: int, version: str) -> Part:
        """Requests the bytes of one generation, compressed if they are stored compressed."""
        bucket, name = split_address(uri)
        if not name:
            raise HeadstartError(f"{uri} is a bucket; write gs://BUCKET/NAME for an object")
        url = f"{self._client.api_endpoint}/download/storage/v1{self._client.bucket(bucket).blob(name).path}"
        params = {"alt": "media"} | ({"ifGenerationMatch": version} if version else {})
        headers = {"Accept-Encoding": "gzip"} | ({"Range": f"bytes={start}-"} if start else {})
        with self._renewing(uri):
            response = send(self._session, "GET", url, headers, params)
        if response.status_code in (200, 206):
            checksum = re.search(r"crc32c=([\w+/=]+)", response.headers.get("X-Goog-Hash", ""))
            digest = ("crc32c", base64.b64decode(checksum[1])) if checksum else None
            return make_part(response, response.headers.get("X-Goog-Generation", ""), digest)
        response.close()
        match response.status_code:
            case 412 | 416:
                raise Changed
            case 404:
                raise NotFound(f"cannot read {uri}: there is no such object; check bucket and name")
            case 401 | 403:
                raise self._refused(uri, response.status_code)
        raise HeadstartError(f"cannot read {uri}: {response.status_code} {response.reason}; check bucket and name")

    def put(self, uri: str, file: io.BufferedIOBase, version: str | None) -> str:
        """Sends an object with its CRC32C, a large one in parts, and compares the checksum that the server states."""
        bucket, name = split_address(uri)
        if not name:
            raise HeadstartError(f"{uri} is a bucket; write gs://BUCKET/NAME for an object")
        checksum = google_crc32c.Checksum()
        for _ in checksum.consume(file, transfer.CHUNK_BYTES):
            pass
        sent = base64.b64encode(checksum.digest()).decode()
        size = file.tell()
        # The client sends this much in one request. Its own check would delete a larger object that it takes for
        # damaged, whoever has written it.
        small = size <= transfer.PART_BYTES
        retry = DEFAULT_RETRY.with_delay(transfer.FIRST_PAUSE_SECONDS, transfer.LONGEST_PAUSE_SECONDS)
        blob = self._client.bucket(bucket).blob(name, chunk_size=transfer.PART_BYTES)
        self._once(
            uri,
            lambda: blob.upload_from_file(
                file,
                rewind=True,
                size=size,
                if_generation_match=None if version is None else int(version or 0),
                checksum="crc32c" if small else None,
                crc32c_checksum_value=None if small else sent,
                retry=None if small else retry.with_timeout(transfer.PATIENCE_SECONDS),
                timeout=(transfer.CONNECT_SECONDS, transfer.READ_SECONDS),
            ),
            "write",
        )
        if blob.crc32c != sent:
            raise TransferInterrupted("its checksum is wrong")
        return str(blob.generation)

    def delete(self, uri: str) -> None:
        """Deletes the live generation."""
        bucket, name = split_address(uri)
        blob = self._client.bucket(bucket).blob(name)
        timeout = (transfer.CONNECT_SECONDS, transfer.READ_SECONDS)
        with contextlib.suppress(NotFound):
            self._call_with_retries(uri, lambda: blob.delete(retry=None, timeout=timeout), "write")

    def _call_with_retries(self, uri: str, call: Callable[[], T], doing: str = "read") -> T:
        return transfer.call_with_retries(uri, lambda: self._once(uri, call, doing), doing)

    def _once(self, uri: str, call: Callable[[], T], doing: str) -> T:
        try:
            with self._renewing(uri, doing):
                return call()
        except GoogleAPICallError as error:
            if error.code in transfer.PASSING:
                headers = error.response.headers if error.response is not None else {}
                reason = f"{error.code} {type(error).__name__}"
                raise TransferInterrupted(reason, retry_after(headers.get("Retry-After"))) from None
            if error.code == requests.codes.precondition_failed:
                raise Changed from None
            if _WRONG_CHECKSUM.search(str(error)):
                raise TransferInterrupted("its checksum is wrong") from None
            raise self._failure(uri, error, doing) from None
        except (DataCorruption, InvalidResponse) as error:
            raise TransferInterrupted(f"the server's answer is invalid ({type(error).__name__})") from None
        except (requests.RequestException, OSError) as error:
            raise translate_error(error, uri, doing) from None

    def _failure(self, uri: str, error: GoogleAPICallError, doing: str) -> HeadstartError:
        if isinstance(error, ApiNotFound):
            return NotFound(f"cannot {doing} {uri}: there is no such bucket; check its name")
        if isinstance(error, (Forbidden, Unauthorized)):
            return self._refused(uri, error.code, doing)
        return HeadstartError(f"cannot {doing} {uri}: {error.code} {type(error).__name__}; check bucket and name")

    def _refused(self, uri: str, status: int, doing: str = "read") -> HeadstartError:
        if self._anonymous:
            return HeadstartError(
                f"cannot {doing} {uri}: {status} for anonymous access, as there are no credentials; set "
                "GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login"
            )
        return HeadstartError(
            f"cannot {doing} {uri}: {status} for the environment's Google credentials; grant them the role Storage "
            f"Object {'Viewer' if doing == 'read' else 'User'} on the bucket"
        )

    @contextlib.contextmanager
    def _renewing(self, uri: str, doing: str = "read") -> Iterator[None]:
        """Translates the error of credentials that cannot be renewed."""
        try:
            yield
        except TransportError as error:
            raise translate_error(error, uri, doing) from None
        except GoogleAuthError as error:
            raise HeadstartError(
                f"cannot {doing} {uri}: the environment's Google credentials cannot be renewed "
                f"({type(error).__name__}); run gcloud auth application-default login"
            ) from None


def _credentials(scope: str) -> Credentials:
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return AnonymousCredentials()
    try:
        return google.auth.default(scopes=[scope])[0]
    except DefaultCredentialsError as error:
        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        if named:
            raise HeadstartError(
                f"GOOGLE_APPLICATION_CREDENTIALS={named!r} cannot be used ({type(error).__name__}); name a "
                "credentials file, or unset it for anonymous access"
            ) from None
        return AnonymousCredentials()
