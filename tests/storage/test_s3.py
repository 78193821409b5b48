"""What S3 has beside what every store has: its credentials, and checksums of several kinds."""

import base64
import json

import boto3
import google_crc32c
import pytest
from botocore.config import Config
from support.faults import Fault
from support.stores import PASSWORD, USER, Stored

from headstart.components.core.storage.stores import open_store
from headstart.components.core.util.errors import HeadstartError

CONTENT = bytes(range(256)) * 2000


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong-secret"), ("nobody", PASSWORD)])
def test_wrong_credentials_are_told_without_showing_them(
    minio: Stored, user: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = minio.upload("cat.jpg", CONTENT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", password)
    store = open_store(uri)
    for attempt in (lambda: store.read(uri), lambda: [*store.list(uri)], lambda: [*store.list(minio.uri())]):
        with pytest.raises(HeadstartError, match=r"403.* for the environment's AWS credentials; check") as caught:
            attempt()
        assert "secret" not in str(caught.value)


def test_without_credentials_access_is_anonymous(minio: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = minio.upload("folder/cat.jpg", CONTENT)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store = open_store(uri)
    for attempt in (lambda: store.read(uri), lambda: [*store.list(uri)], lambda: [*store.list(minio.uri())]):
        with pytest.raises(HeadstartError, match=r"403.* for anonymous access, .* set AWS_ACCESS_KEY_ID"):
            attempt()
    everyone = {"Effect": "Allow", "Principal": {"AWS": ["*"]}}
    bucket = f"arn:aws:s3:::{minio.bucket}"
    allowed = [
        everyone | {"Action": ["s3:ListBucket"], "Resource": [bucket]},
        everyone | {"Action": ["s3:GetObject"], "Resource": [f"{bucket}/*"]},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    minio.server.client.put_bucket_policy(Bucket=minio.bucket, Policy=policy)
    (found,) = store.list(minio.uri("folder"))
    assert store.read(found.uri, found.version) == CONTENT


def test_half_of_the_credentials_is_refused(minio: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(HeadstartError, match=r"AWS settings cannot be used \(PartialCredentialsError\); check AWS_"):
        open_store("s3://bucket")


def test_profile_that_is_not_there_is_refused(minio: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(HeadstartError, match=r"AWS settings cannot be used \(ProfileNotFound\); check AWS_PROFILE"):
        open_store("s3://bucket")


def test_name_that_no_bucket_can_have_is_refused(minio: Stored) -> None:
    with pytest.raises(HeadstartError, match="no bucket can have such a name"):
        open_store("s3://b").read("s3://b!/cat.jpg")


@pytest.mark.parametrize("algorithm", ["MD5", "CRC32", "CRC32C", "SHA1", "SHA256"])
@pytest.mark.parametrize(
    "fault", [Fault("corrupt", 9), Fault("corrupt", 9, then=Fault("reset", 200_000))], ids=["whole", "resumed"]
)
def test_damage_is_noticed_by_any_checksum(minio: Stored, algorithm: str, fault: Fault) -> None:
    client = _client_without_checksums(minio)
    kind = {} if algorithm == "MD5" else {"ChecksumAlgorithm": algorithm}
    if algorithm == "CRC32C":
        kind = {"ChecksumCRC32C": base64.b64encode(google_crc32c.Checksum(CONTENT).digest()).decode()}
    client.put_object(Bucket=minio.bucket, Key="cat.jpg", Body=CONTENT, **kind)
    minio.proxy.spoil([fault])
    store, uri = open_store("s3://bucket"), minio.uri("cat.jpg")
    assert store.read(uri) == CONTENT
    minio.proxy.spoil(lambda request: Fault("corrupt"))
    with pytest.raises(HeadstartError, match="its checksum is wrong, 3 times in a row; check the network"):
        store.read(uri)


@pytest.mark.parametrize("checksum", [{}, {"ChecksumAlgorithm": "CRC32"}, {"ChecksumAlgorithm": "SHA256"}])
def test_object_stored_in_parts_is_read(minio: Stored, checksum: dict[str, str]) -> None:
    client, parts = _client_without_checksums(minio), [bytes(5 * 2**20), CONTENT]
    where = {"Bucket": minio.bucket, "Key": "cats.zip"}
    upload = where | {"UploadId": client.create_multipart_upload(**where, **checksum)["UploadId"]}
    done = []
    for number, part in enumerate(parts, start=1):
        answer = client.upload_part(**upload, PartNumber=number, Body=part, **checksum)
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        done.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    minio.proxy.spoil([Fault("reset", 3_000_000)])
    store = open_store(minio.uri())
    (found,) = store.list(minio.uri())
    assert store.read(found.uri, found.version) == b"".join(parts)


def _client_without_checksums(minio: Stored) -> "boto3.client":
    return boto3.client(
        "s3",
        endpoint_url=minio.server.address,
        region_name="us-east-1",
        config=Config(request_checksum_calculation="when_required"),
    )
