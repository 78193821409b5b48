"""Objects that tests put into a cluster's store, and what they find there."""

import os
import re
from pathlib import Path
from typing import Any, Protocol


class Objects(Protocol):
    """A prefix of one's own in the store of a pipeline root, and reading rights below that root."""

    def put(self, key: str, data: bytes) -> str:
        """Stores an object below the prefix, and returns its address."""
        ...

    def below(self, uri: str) -> dict[str, bytes]:
        """All objects below an address, by the rest of their names."""
        ...

    def delete(self, uri: str) -> int:
        """Deletes all objects below an address, and says how many there were."""
        ...

    def delete_all(self) -> None:
        """Deletes what `put` has stored."""
        ...

    def profile(self) -> dict[str, Any]:
        """What of a cluster profile makes pods read from this store."""
        ...


class S3Objects:
    """In an S3-compatible store, found by the usual AWS variables.

    Args:
        bucket: The bucket.
        prefix: What the names of objects of one's own begin with.
        secret: The Kubernetes Secret with `accesskey` and `secretkey`.
        endpoint: The store as pods see it.
    """

    def __init__(self, bucket: str, prefix: str, secret: str, endpoint: str) -> None:
        import boto3

        self._client: Any = boto3.client("s3")
        self._bucket, self._prefix = bucket, prefix
        self._secret, self._endpoint = secret, endpoint

    def put(self, key: str, data: bytes) -> str:
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{key}", Body=data)
        return f"s3://{self._bucket}/{self._prefix}/{key}"

    def below(self, uri: str) -> dict[str, bytes]:
        start = _key(uri).rstrip("/") + "/"
        read = self._client.get_object
        return {
            key.removeprefix(start): read(Bucket=self._bucket, Key=key)["Body"].read() for key in self._keys(start)
        }

    def delete(self, uri: str) -> int:
        keys = self._keys(_key(uri).rstrip("/") + "/")
        for key in keys:
            self._client.delete_object(Bucket=self._bucket, Key=key)
        return len(keys)

    def delete_all(self) -> None:
        self.delete(f"s3://{self._bucket}/{self._prefix}")

    def profile(self) -> dict[str, Any]:
        keys = {"AWS_ACCESS_KEY_ID": "accesskey", "AWS_SECRET_ACCESS_KEY": "secretkey"}
        variables = {"AWS_ENDPOINT_URL_S3": self._endpoint} if self._endpoint else {}
        return {"secrets": [{"name": self._secret, "env": keys}], "env": variables}

    def _keys(self, start: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]


class GcsObjects:
    """In Google Cloud Storage, with the application default credentials; pods use workload identity."""

    def __init__(self, bucket: str, prefix: str) -> None:
        from google.cloud import storage

        self._bucket = storage.Client().bucket(bucket)
        self._prefix = prefix

    def put(self, key: str, data: bytes) -> str:
        self._bucket.blob(f"{self._prefix}/{key}").upload_from_string(data)
        return f"gs://{self._bucket.name}/{self._prefix}/{key}"

    def below(self, uri: str) -> dict[str, bytes]:
        start = _key(uri).rstrip("/") + "/"
        return {
            blob.name.removeprefix(start): blob.download_as_bytes()
            for blob in self._bucket.list_blobs(prefix=start)
            if not blob.name.endswith("/")
        }

    def delete(self, uri: str) -> int:
        blobs = list(self._bucket.list_blobs(prefix=_key(uri).rstrip("/") + "/"))
        for blob in blobs:
            blob.delete()
        return len(blobs)

    def delete_all(self) -> None:
        self.delete(f"gs://{self._bucket.name}/{self._prefix}")

    def profile(self) -> dict[str, Any]:
        return {}


def open_objects(root: str, prefix: str) -> Objects:
    """A prefix in the store that a pipeline root lies in."""
    scheme, bucket = re.fullmatch(r"(gs|s3|minio)://([^/]+).*", root).groups()  # type: ignore[union-attr]
    if scheme == "gs":
        return GcsObjects(bucket, prefix)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    secret = os.environ.get("HEADSTART_TEST_STORE_SECRET", "mlpipeline-minio-artifact")
    return S3Objects(bucket, prefix, secret, os.environ.get("HEADSTART_TEST_STORE_ENDPOINT", endpoint))


def save(objects: dict[str, bytes], folder: Path) -> Path:
    """Writes objects to a folder, as the launcher would for a step."""
    for name, data in objects.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _key(uri: str) -> str:
    return uri.partition("://")[2].partition("/")[2]
