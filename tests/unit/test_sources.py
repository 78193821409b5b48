import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.servers import serving

from headstart.components.core.errors import HeadstartError
from headstart.components.download_dataset import sources
from headstart.components.download_dataset.sources import open_source

FILES = {"cats/2.jpg": b"two", "cats/10.jpg": b"ten", "dogs/1.jpg": b"one"}
IN_NATURAL_ORDER = ["cats/2.jpg", "cats/10.jpg", "dogs/1.jpg"]


def write_folder(root: Path) -> Path:
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, mode: str, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def read(data: str) -> dict[str, bytes | None]:
    with open_source(data) as source:
        return dict(zip([file.path for file in source.files], source.contents(), strict=True))


def test_folder_and_zip_yield_every_file_in_natural_order(tmp_path: Path) -> None:
    for data in (write_folder(tmp_path / "folder"), write_zip(tmp_path / "a.zip", FILES)):
        found = read(str(data))
        assert found == FILES
        assert list(found) == IN_NATURAL_ORDER


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_yields_every_file(tmp_path: Path, mode: str) -> None:
    assert read(str(write_tar(tmp_path / "archive", mode, FILES))) == FILES


def test_archive_comes_from_the_web_in_spite_of_failures(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", FILES)
    with serving(tmp_path, failures=["503", "429"]) as address:
        assert read(f"{address}/a.zip") == FILES


def test_archive_cut_off_on_the_way_is_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", FILES)
    with serving(tmp_path, failures=["truncate"] * 10) as address, pytest.raises(HeadstartError, match=r"a\.zip"):
        read(f"{address}/a.zip")


def test_secrets_of_an_address_are_in_no_message(tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        url = address.replace("//", "//user:hunter2@") + "/none.zip?signature=hunter3"
        with pytest.raises(HeadstartError, match="404") as caught:
            read(url)
    assert "hunter" not in str(caught.value)


def test_junk_is_left_out(tmp_path: Path) -> None:
    junk = {"__MACOSX/cats/._2.jpg": b"", ".DS_Store": b"", "cats/Thumbs.db": b"", "cats/.hidden/3.jpg": b""}
    assert read(str(write_zip(tmp_path / "a.zip", FILES | junk))) == FILES


def test_members_with_hostile_names_stay_inside_the_archive(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    hostile = {"../../escape.jpg": b"x", "/tmp/absolute.jpg": b"y"}
    archives = [write_zip(inside / "a.zip", hostile), write_tar(inside / "a.tar", "w", hostile)]
    for archive in archives:
        assert sorted(read(str(archive)).values()) == [b"x", b"y"]
    assert sorted(tmp_path.rglob("*")) == sorted([inside, *archives])


def test_links_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", "w", FILES)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("cats/passwd.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert read(str(path)) == FILES


def test_file_too_large_for_a_picture_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 3)
    files = FILES | {"dogs/2.jpg": b"four"}
    for data in (write_zip(tmp_path / "a.zip", files), write_tar(tmp_path / "a.tar", "w", files)):
        assert read(str(data))["dogs/2.jpg"] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive at all", "neither a folder nor a zip or tar archive"),
        (b"", "neither a folder nor a zip or tar archive"),
        (b"\x1f\x8b damaged gzip", "neither a folder nor a zip or tar archive"),
    ],
)
def test_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(HeadstartError, match=message):
        read(str(tmp_path / "data"))


def test_truncated_archives_are_refused(tmp_path: Path) -> None:
    noise = {"cats/1.jpg": os.urandom(100_000), "dogs/1.jpg": os.urandom(100_000)}
    for path in (write_zip(tmp_path / "a.zip", noise), write_tar(tmp_path / "a.tgz", "w:gz", noise)):
        path.write_bytes(path.read_bytes()[:150_000])
        with pytest.raises(HeadstartError, match=path.name):
            read(str(path))


def test_missing_empty_encrypted_and_foreign_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadstartError, match=r"nowhere.*does not exist"):
        read(str(tmp_path / "nowhere"))
    with pytest.raises(HeadstartError, match="holds no files"):
        read(str(tmp_path))
    with pytest.raises(HeadstartError, match="ftp:// is not known here"):
        read("ftp://host/pictures.zip")
    secret = write_zip(tmp_path / "secret.zip", FILES)
    marked = bytearray(secret.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := marked.find(signature, start + 1)) >= 0:
            marked[start + offset] |= 1
    secret.write_bytes(marked)
    with pytest.raises(HeadstartError, match="encrypted"):
        read(str(secret))
