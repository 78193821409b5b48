"""Objects in Amazon S3, and in stores with its API: MinIO, SeaweedFS, Ceph and others."""

import base64
import binascii
import contextlib
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from urllib3.exceptions import HTTPError

from headstart.components.core.storage.stores import transfer
from headstart.components.core.storage.stores.addresses import split_address
from headstart.components.core.storage.stores.http import content_range, retry_after, translate_error
from headstart.components.core.storage.stores.objects import NotFound, StoredObject, WritableStore
from headstart.components.core.storage.stores.transfer import Changed, DamagedTransfer, Part, TransferInterrupted
from headstart.components.core.util.errors import HeadstartError

try:
    import boto3
    import botocore
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        FlexibleChecksumError,
        HTTPClientError,
        IncompleteReadError,
        ParamValidationError,
    )
    from botocore.exceptions import ConnectionError as BotoConnectionError
    from botocore.parsers import ResponseParserError
except ModuleNotFoundError:
    raise HeadstartError("s3:// needs boto3; install it with pip install 'headstart[s3]'") from None

_CHECKSUMS = {
    "ChecksumSHA512": "sha512",
    "ChecksumSHA256": "sha256",
    "ChecksumCRC32C": "crc32c",
    "ChecksumCRC32": "crc32",
    "ChecksumSHA1": "sha1",
}
_TOO_BUSY = {"SlowDown", "RequestTimeout", "ServiceUnavailable", "InternalError", "ConditionalRequestConflict"}
_DAMAGED = {"BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
_PARTS = 10_000


class S3Store(WritableStore):
    """`s3://` addresses, with the AWS credentials of the environment, or anonymously if there are none.

    `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` names a store other than Amazon's.

    Raises:
        HeadstartError: If the AWS settings of the environment cannot be used.
    """

    # No known content has this MD5; ETags of objects in parts end with the number of the parts.
    no_version = f'"{"0" * 32}"'

    def __init__(self) -> None:
        try:
            session = boto3.Session()
            self._anonymous = session.get_credentials() is None
            self._client = session.client(
                "s3",
                config=Config(
                    signature_version=botocore.UNSIGNED if self._anonymous else None,
                    max_pool_connections=transfer.CONNECTIONS,
                    connect_timeout=transfer.CONNECT_SECONDS,
                    read_timeout=transfer.READ_SECONDS,
                    # Retries are made by `call_with_retries`, as long as bytes arrive.
                    retries={"total_max_attempts": 1},
                    response_checksum_validation="when_required",
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise HeadstartError(
                f"the environment's AWS settings cannot be used ({type(error).__name__}); check AWS_PROFILE, "
                "AWS_ENDPOINT_URL_S3 and all other variables that begin with AWS_"
            ) from None

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Lists objects; their versions are ETags."""
        bucket, name = split_address(uri)
        if name and not name.endswith("/"):
            try:
                head = self._call_with_retries(uri, self._client.head_object, Bucket=bucket, Key=name)
            except NotFound:
                name += "/"
            else:
                yield StoredObject(uri, name.rpartition("/")[2], head["ContentLength"], head.get("ETag", ""))
                return
        where = {"Bucket": bucket, "Prefix": name}
        while True:
            page = self._call_with_retries(uri, self._client.list_objects_v2, **where)
            for found in page.get("Contents", ()):
                key = found["Key"]
                if not key.endswith("/"):
                    yield StoredObject(f"s3://{bucket}/{key}", key[len(name) :], found["Size"], found.get("ETag", ""))
            if not page.get("IsTruncated"):
                return
            where["ContinuationToken"] = page["NextContinuationToken"]

    def open_part(self, uri: str, start: int, version: str) -> Part:
        """Requests the bytes of one ETag."""
        bucket, name = split_address(uri)
        if not name:
            raise HeadstartError(f"{uri} is a bucket; write s3://BUCKET/NAME for an object")
        wanted = {"IfMatch": version} if version else {}
        # The checksum is that of the whole object, so it can only be compared with a response from the first byte on.
        wanted |= {"Range": f"bytes={start}-"} if start else {"ChecksumMode": "ENABLED"}
        answer = self._ask(uri, self._client.get_object, Bucket=bucket, Key=name, **wanted)
        body = answer["Body"]
        first, size = 0, answer["ContentLength"]
        if "ContentRange" in answer:
            first, size = content_range(answer["ContentRange"])

        def chunks() -> Iterator[bytes]:
            try:
                yield from body.iter_chunks(transfer.CHUNK_BYTES)
            except FlexibleChecksumError:
                raise DamagedTransfer("its checksum is wrong") from None
            except (HTTPClientError, IncompleteReadError, HTTPError, OSError) as error:
                raise translate_error(error, uri) from None

        return Part(first, size, answer.get("ETag", ""), _digest(answer), chunks(), body.close)

    def put(self, uri: str, file: io.BufferedIOBase, version: str | None) -> str:
        """Sends an object with its SHA-256; a large one in parts, each with its own."""
        bucket, name = split_address(uri)
        if not name:
            raise HeadstartError(f"{uri} is a bucket; write s3://BUCKET/NAME for an object")
        where = {"Bucket": bucket, "Key": name}
        condition = {} if version is None else {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        size = file.seek(0, io.SEEK_END)
        try:
            if size <= transfer.PART_BYTES:
                file.seek(0)
                sent = self._send(uri, self._client.put_object, file.read(), **where, **condition)
                return str(sent["ETag"])
            return self._put_parts(uri, where, file, max(transfer.PART_BYTES, -(-size // _PARTS)), condition)
        except NotFound:
            # The object to replace is gone.
            if version and self._is_there(bucket):
                raise Changed from None
            raise

    def _put_parts(
        self, uri: str, where: dict[str, str], file: io.BufferedIOBase, part_bytes: int, condition: dict[str, str]
    ) -> str:
        started = self._call_with_retries(
            uri, self._client.create_multipart_upload, "write", **where, ChecksumAlgorithm="SHA256"
        )
        upload = where | {"UploadId": started["UploadId"]}
        parts: list[dict[str, Any]] = []
        try:
            file.seek(0)
            while data := file.read(part_bytes):
                number = {"PartNumber": len(parts) + 1}
                sent = transfer.call_with_retries(
                    uri,
                    lambda: self._send(uri, self._client.upload_part, data, **upload, **number),  # noqa: B023
                    "write",
                )
                parts.append(number | {key: sent[key] for key in ("ETag", "ChecksumSHA256") if key in sent})
            done = self._ask(
                uri, self._client.complete_multipart_upload, "write", **upload, **condition,
                MultipartUpload={"Parts": parts},
            )  # fmt: skip
        except BaseException:
            with contextlib.suppress(HeadstartError, TransferInterrupted, Changed):
                self._ask(uri, self._client.abort_multipart_upload, "write", **upload)
            raise
        if "ETag" not in done:
            raise TransferInterrupted("the answer broke off")
        return str(done["ETag"])

    def _send(self, uri: str, operation: Callable[..., Any], data: bytes, **arguments: Any) -> Any:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return self._ask(uri, operation, "write", Body=data, ChecksumSHA256=checksum, **arguments)

    def _is_there(self, bucket: str) -> bool:
        try:
            self._call_with_retries(f"s3://{bucket}", self._client.head_bucket, "write", Bucket=bucket)
        except NotFound:
            return False
        return True

    def delete(self, uri: str) -> None:
        """Deletes the object; in a bucket with versioning it stays as an old version."""
        bucket, name = split_address(uri)
        with contextlib.suppress(NotFound):
            self._call_with_retries(uri, self._client.delete_object, "write", Bucket=bucket, Key=name)

    def _call_with_retries(
        self, uri: str, operation: Callable[..., Any], doing: str = "read", **arguments: Any
    ) -> Any:
        return transfer.call_with_retries(uri, lambda: self._ask(uri, operation, doing, **arguments), doing)

    def _ask(self, uri: str, operation: Callable[..., Any], doing: str = "read", **arguments: Any) -> Any:
        try:
            return operation(**arguments)
        except ClientError as error:
            raise self._failure(uri, error.response, doing) from None
        except (BotoConnectionError, HTTPClientError, ResponseParserError) as error:
            raise translate_error(error, uri, doing) from None
        except ParamValidationError:
            raise HeadstartError(f"cannot {doing} {uri}: no bucket can have such a name; check it") from None
        except BotoCoreError as error:
            raise HeadstartError(
                f"cannot {doing} {uri}: the environment's AWS credentials cannot be used ({type(error).__name__}); "
                "renew them, or unset them for anonymous access"
            ) from None

    def _failure(self, uri: str, answer: dict[str, Any], doing: str) -> Exception:
        code = answer["Error"].get("Code", "")
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        reason = f"{status}" if code == f"{status}" else f"{status} {code}"
        if status in transfer.PASSING or code in _TOO_BUSY | _DAMAGED:
            return TransferInterrupted(
                reason, retry_after(answer["ResponseMetadata"]["HTTPHeaders"].get("retry-after"))
            )
        if code == "NoSuchBucket":
            return NotFound(f"cannot {doing} {uri}: there is no such bucket; check its name, and the endpoint")
        match status:
            case 412 | 416:
                return Changed()
            case 404:
                return NotFound(f"cannot {doing} {uri}: there is no such object; check bucket and name")
            case 401 | 403 if self._anonymous:
                return HeadstartError(
                    f"cannot {doing} {uri}: {reason} for anonymous access, as there are no credentials; set "
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
                )
            case 401 | 403:
                rights = "list and read" if doing == "read" else "list, read and write"
                return HeadstartError(
                    f"cannot {doing} {uri}: {reason} for the environment's AWS credentials; check that they are "
                    f"right, and that they may {rights} the bucket"
                )
        return HeadstartError(f"cannot {doing} {uri}: {reason}; check bucket, endpoint, region and credentials")


def _digest(answer: dict[str, Any]) -> tuple[str, bytes] | None:
    """Checksum of the whole object: the one it was stored with, or the ETag if that is its MD5."""
    if answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        for field, algorithm in _CHECKSUMS.items():
            # A composite checksum ends with a dash and the number of its parts.
            if "-" not in answer.get(field, "-"):
                try:
                    return algorithm, base64.b64decode(answer[field], validate=True)
                except binascii.Error:
                    continue
    tag = answer.get("ETag", "").strip('"')
    encrypted = answer.get("ServerSideEncryption", "").startswith("aws:kms") or "SSECustomerAlgorithm" in answer
    if re.fullmatch("[0-9a-f]{32}", tag) and not encrypted:
        return "md5", bytes.fromhex(tag)
    return None
