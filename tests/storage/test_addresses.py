import subprocess
import sys

import pytest

from headstart.components.core.storage.stores import (
    check_address,
    distinct_without_secrets,
    has_credentials,
    is_remote,
    open_store,
    open_tree,
    scheme_of,
    without_secrets,
)
from headstart.components.core.util.errors import HeadstartError


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("https://host/cats.zip", "https"),
        ("HTTP://host/cats.zip", "http"),
        ("gs://bucket/cats", "gs"),
        ("s3://bucket", "s3"),
        ("hdfs://host/cats", "hdfs"),
        ("cats", ""),
        ("/cats/a://b", ""),
        ("C:\\cats", ""),
        ("", ""),
    ],
)
def test_scheme_is_what_stands_before_the_slashes(text: str, scheme: str) -> None:
    assert scheme_of(text) == scheme
    assert is_remote(text) == (scheme in ("http", "https", "gs", "s3"))


def test_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(
        HeadstartError, match="no store for 'ftp://host/x'; known are http://, https://, gs://, s3://"
    ):
        open_store("ftp://me:secret@host/x?key=secret")


def test_secrets_are_cut_and_object_names_are_not() -> None:
    assert without_secrets("https://me:secret@host:1/a%20b?key=secret#secret") == "https://host:1/a%20b"
    assert without_secrets("s3://me:secret@bucket/what?#1@home.jpg") == "s3://bucket/what?#1@home.jpg"
    assert without_secrets("gs://bucket") == "gs://bucket"
    assert without_secrets("cats/what?#1@home.jpg") == "cats/what?#1@home.jpg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "gs:/bucket/models",
            "address 'gs:/bucket/models' would be read as a path; did you mean 'gs://bucket/models'?",
        ),
        ("S3:bucket", "address 'S3:bucket' would be read as a path; did you mean 's3://bucket'?"),
        (
            "https:/me:secret@host/x?key=secret",
            "address 'https:/host/x' would be read as a path; did you mean 'https:",
        ),
        ("http://[::1/x.zip?key=secret", "address 'http://…' is not a valid address; check its host"),
    ],
)
def test_what_is_meant_for_an_address_is_not_taken_for_a_path(text: str, message: str) -> None:
    for refusing in (check_address, open_tree):
        with pytest.raises(HeadstartError) as caught:
            refusing(text)
        assert message in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "cats", "./gs:/cats", "gs:", "ftp:/host", "gs://bucket/a", "http://[::1]/x", "c:/x"]
)
def test_paths_and_addresses_pass(text: str) -> None:
    check_address(text)


@pytest.mark.parametrize(
    ("url", "has"),
    [
        ("https://host/x.zip", False),
        ("https://host/x.zip?download=true", False),
        ("https://host/x.zip?authuser=0&author=me&design=1&keyword=cats&signal=1&category_key=pets", False),
        ("https://host/x.zip?api_key=0", True),
        ("https://host/x.zip?key=0", True),
        ("https://host/x.zip?sv=2&sig=0", True),
        ("https://me@host/x.zip", True),
        ("https://host/x.zip?download=true&X-Amz-Signature=0", True),
        ("http://host/x.zip?access_TOKEN=", True),
        ("https://host/x.zip?AWSAccessKeyId=0", True),
        ("s3://bucket/x?key=y", False),
        ("s3://me:secret@bucket/x", True),
    ],
)
def test_credentials_are_told_from_other_parameters(url: str, has: bool) -> None:
    assert has_credentials(url) == has


def test_clients_are_imported_when_a_store_is_opened() -> None:
    code = (
        "import sys\n"
        "import headstart.components.core.storage.stores\n"
        "print({'google.cloud', 'boto3', 'requests', 'kfp', 'tensorflow'} & {*sys.modules})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_missing_boto3_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.delitem(sys.modules, "headstart.components.core.storage.stores.s3", raising=False)
    with pytest.raises(HeadstartError, match=r"install it with pip install 'headstart\[s3\]'"):
        open_store("s3://bucket")


def test_images_that_a_query_tells_apart_have_different_names_and_none_shows_a_value() -> None:
    shown = [distinct_without_secrets(f"https://me:pass@host/get?id=cat-{number}&v=1") for number in (1, 2)]
    assert len(set(shown)) == 2
    assert all(each.startswith("https://host/get?id=…&v=…#") and "cat" not in each for each in shown)
    assert shown[0] == distinct_without_secrets("https://host/get?id=cat-1&v=1")


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=1&X-Amz-Date=2&X-Amz-Credential=3",
        "se=2027-01-01&sp=r&sv=2024&sig=abc",
        "AWSAccessKeyId=1&Signature=2&Expires=3",
        "token=1",
        "",
    ],
)
def test_image_that_is_signed_again_keeps_its_name(query: str) -> None:
    assert distinct_without_secrets(f"https://host/cat.jpg?{query}") == "https://host/cat.jpg"
    again = [distinct_without_secrets(f"https://host/get?id=7&{query}{more}") for more in ("", "4")]
    assert len(set(again)) == 1 or not query


def test_what_is_no_address_of_the_web_has_no_query() -> None:
    for text in ("gs://bucket/a?b=c", "cats/a?b=c.jpg"):
        assert distinct_without_secrets(text) == text
    assert distinct_without_secrets("https://[/x?a=b") == "https://…"
