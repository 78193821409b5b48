"""Objects in Amazon S3, and in stores that speak its language: MinIO, SeaweedFS, Ceph and others."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Any

from urllib3.exceptions import HTTPError

from headstart.components.core.errors import HeadstartError
from headstart.components.core.stores import transfer
from headstart.components.core.stores.addresses import split_address
from headstart.components.core.stores.http import content_range, interruption, retry_after
from headstart.components.core.stores.objects import NotFound, Store, StoredObject
from headstart.components.core.stores.transfer import Changed, Damaged, Interrupted, Part

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
_TOO_BUSY = {"SlowDown", "RequestTimeout", "ServiceUnavailable", "InternalError"}


class S3Store(Store):
    """`s3://` addresses, read with the environment's AWS credentials, or anonymously where there are none.

    `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` names a store other than Amazon's.

    Raises:
        HeadstartError: The AWS settings of the environment cannot be used.
    """

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
                    # Ours go on for as long as bytes come.
                    retries={"total_max_attempts": 1},
                    response_checksum_validation="when_required",
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise HeadstartError(
                f"the environment's AWS settings cannot be used ({type(error).__name__}); check AWS_PROFILE, "
                "AWS_ENDPOINT_URL_S3 and what else begins with AWS_"
            ) from None

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Lists by ETag."""
        bucket, name = split_address(uri)
        if name and not name.endswith("/"):
            try:
                head = self._patiently(uri, self._client.head_object, Bucket=bucket, Key=name)
            except NotFound:
                name += "/"
            else:
                yield StoredObject(uri, name.rpartition("/")[2], head["ContentLength"], head.get("ETag", ""))
                return
        where = {"Bucket": bucket, "Prefix": name}
        while True:
            page = self._patiently(uri, self._client.list_objects_v2, **where)
            for found in page.get("Contents", ()):
                key = found["Key"]
                if not key.endswith("/"):
                    yield StoredObject(f"s3://{bucket}/{key}", key[len(name) :], found["Size"], found.get("ETag", ""))
            if not page.get("IsTruncated"):
                return
            where["ContinuationToken"] = page["NextContinuationToken"]

    def open_part(self, uri: str, start: int, version: str) -> Part:
        """Asks for the bytes of one ETag."""
        bucket, name = split_address(uri)
        if not name:
            raise HeadstartError(f"{uri} is a bucket; write s3://BUCKET/NAME for an object")
        wanted = {"IfMatch": version} if version else {}
        # A checksum is the whole object's, so only an answer from the first byte on can be held against it.
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
                raise Damaged("its checksum is wrong") from None
            except (HTTPClientError, IncompleteReadError, HTTPError, OSError) as error:
                raise interruption(error, uri) from None

        return Part(first, size, answer.get("ETag", ""), _digest(answer), chunks(), body.close)

    def _patiently(self, uri: str, operation: Callable[..., Any], **arguments: str) -> Any:
        return transfer.patiently(uri, lambda: self._ask(uri, operation, **arguments))

    def _ask(self, uri: str, operation: Callable[..., Any], **arguments: str) -> Any:
        try:
            return operation(**arguments)
        except ClientError as error:
            raise self._failure(uri, error.response) from None
        except (BotoConnectionError, HTTPClientError, ResponseParserError) as error:
            raise interruption(error, uri) from None
        except ParamValidationError:
            raise HeadstartError(f"cannot read {uri}: no bucket can have such a name; check it") from None
        except BotoCoreError as error:
            raise HeadstartError(
                f"cannot read {uri}: the environment's AWS credentials cannot be used ({type(error).__name__}); "
                "renew them, or unset them for anonymous access"
            ) from None

    def _failure(self, uri: str, answer: dict[str, Any]) -> Exception:
        code = answer["Error"].get("Code", "")
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        reason = f"{status}" if code == f"{status}" else f"{status} {code}"
        if status in transfer.PASSING or code in _TOO_BUSY:
            return Interrupted(reason, retry_after(answer["ResponseMetadata"]["HTTPHeaders"].get("retry-after")))
        if code == "NoSuchBucket":
            return NotFound(f"cannot read {uri}: there is no such bucket; check its name, and the endpoint")
        match status:
            case 412 | 416:
                return Changed()
            case 404:
                return NotFound(f"cannot read {uri}: there is no such object; check bucket and name")
            case 401 | 403 if self._anonymous:
                return HeadstartError(
                    f"cannot read {uri}: {reason} for anonymous access, as there are no credentials; set "
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
                )
            case 401 | 403:
                return HeadstartError(
                    f"cannot read {uri}: {reason} for the environment's AWS credentials; check that they are right, "
                    "and that they may list and read the bucket"
                )
        return HeadstartError(f"cannot read {uri}: {reason}; check bucket, endpoint, region and credentials")


def _digest(answer: dict[str, Any]) -> tuple[str, bytes] | None:
    """The whole object's checksum: the one it was stored with, or the ETag where that is its MD5."""
    if answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        for field, algorithm in _CHECKSUMS.items():
            # A composite checksum ends with the number of its parts, after a dash.
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
