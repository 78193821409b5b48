"""Objects in Google Cloud Storage.

`google-cloud-storage` lists. Reading is ours: what that client resumes it does not verify, and it ignores
`Retry-After`.
"""

import base64
import contextlib
import os
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import google.auth
import requests
from google.api_core.exceptions import Forbidden, GoogleAPICallError, Unauthorized
from google.api_core.exceptions import NotFound as ApiNotFound
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.auth.transport import DEFAULT_REFRESH_STATUS_CODES
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage

from headstart.components.core.errors import HeadstartError
from headstart.components.core.stores import transfer
from headstart.components.core.stores.addresses import split_address
from headstart.components.core.stores.http import interruption, part_of, pooled, retry_after, send
from headstart.components.core.stores.objects import NotFound, Store, StoredObject
from headstart.components.core.stores.transfer import Changed, Interrupted, Part

T = TypeVar("T")

_READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"


class GcsStore(Store):
    """`gs://` addresses, read with the application default credentials, or anonymously where there are none.

    Raises:
        HeadstartError: The credentials that the environment names cannot be used.
    """

    def __init__(self) -> None:
        credentials = _credentials()
        self._anonymous = isinstance(credentials, AnonymousCredentials)
        # A session tries to renew credentials that are refused; anonymous ones cannot be, and it would fail at that.
        renewed = () if self._anonymous else DEFAULT_REFRESH_STATUS_CODES
        self._session = pooled(AuthorizedSession(credentials, refresh_status_codes=renewed))
        self._client = storage.Client(project="<none>", credentials=credentials, _http=self._session)

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Lists by generation."""
        bucket_name, name = split_address(uri)
        bucket = self._client.bucket(bucket_name)
        timeout = (transfer.CONNECT_SECONDS, transfer.READ_SECONDS)
        if name and not name.endswith("/"):
            blob = self._patiently(uri, lambda: bucket.get_blob(name, retry=None, timeout=timeout))
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
            blobs, token = self._patiently(uri, lambda token=token: page(token))  # type: ignore[misc]
            for blob in blobs:
                if not blob.name.endswith("/"):
                    yield StoredObject(
                        f"gs://{bucket_name}/{blob.name}", blob.name[len(name) :], blob.size, str(blob.generation)
                    )
            if not token:
                return

    def open_part(self, uri: str, start: int, version: str) -> Part:
        """Asks for the bytes of one generation, compressed where they are stored so."""
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
            return part_of(response, response.headers.get("X-Goog-Generation", ""), digest)
        response.close()
        match response.status_code:
            case 412 | 416:
                raise Changed
            case 404:
                raise NotFound(f"cannot read {uri}: there is no such object; check bucket and name")
            case 401 | 403:
                raise self._refused(uri, response.status_code)
        raise HeadstartError(f"cannot read {uri}: {response.status_code} {response.reason}; check bucket and name")

    def _patiently(self, uri: str, call: Callable[[], T]) -> T:
        def attempt() -> T:
            try:
                with self._renewing(uri):
                    return call()
            except GoogleAPICallError as error:
                if error.code in transfer.PASSING:
                    headers = error.response.headers if error.response is not None else {}
                    reason = f"{error.code} {type(error).__name__}"
                    raise Interrupted(reason, retry_after(headers.get("Retry-After"))) from None
                raise self._failure(uri, error) from None
            except (requests.RequestException, OSError) as error:
                raise interruption(error, uri) from None

        return transfer.patiently(uri, attempt)

    def _failure(self, uri: str, error: GoogleAPICallError) -> HeadstartError:
        if isinstance(error, ApiNotFound):
            return NotFound(f"cannot read {uri}: there is no such bucket; check its name")
        if isinstance(error, (Forbidden, Unauthorized)):
            return self._refused(uri, error.code)
        return HeadstartError(f"cannot read {uri}: {error.code} {type(error).__name__}; check bucket and name")

    def _refused(self, uri: str, status: int) -> HeadstartError:
        if self._anonymous:
            return HeadstartError(
                f"cannot read {uri}: {status} for anonymous access, as there are no credentials; set "
                "GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login"
            )
        return HeadstartError(
            f"cannot read {uri}: {status} for the environment's Google credentials; grant them the role Storage "
            "Object Viewer on the bucket"
        )

    @contextlib.contextmanager
    def _renewing(self, uri: str) -> Iterator[None]:
        """Tells why credentials could not be renewed."""
        try:
            yield
        except TransportError as error:
            raise interruption(error, uri) from None
        except GoogleAuthError as error:
            raise HeadstartError(
                f"cannot read {uri}: the environment's Google credentials cannot be renewed "
                f"({type(error).__name__}); run gcloud auth application-default login"
            ) from None


def _credentials() -> Credentials:
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return AnonymousCredentials()
    try:
        return google.auth.default(scopes=[_READ_ONLY])[0]
    except DefaultCredentialsError as error:
        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        if named:
            raise HeadstartError(
                f"GOOGLE_APPLICATION_CREDENTIALS={named!r} cannot be used ({type(error).__name__}); name a "
                "credentials file, or unset it for anonymous access"
            ) from None
        return AnonymousCredentials()
