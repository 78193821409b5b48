import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from support.disks import small_disk
from support.servers import serve_folder

from headstart.components.core.sources import Unreadable, archives, file_contents, open_source
from headstart.components.core.storage.stores import transfer
from headstart.components.core.util.errors import HeadstartError

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


def read(data: str, sha256: str = "") -> dict[str, bytes | str]:
    """Every file's content, or why it cannot be read."""
    with open_source(data, sha256) as source:
        found: dict[str, bytes | str] = {each.file: each.reason for each in source.unusable}
        for entry, load in zip(source.entries, source.loaders(), strict=True):
            try:
                found[entry.path] = load()
            except Unreadable as error:
                found[entry.path] = error.reason
        return found


def test_folder_and_zip_yield_every_file_in_natural_order(tmp_path: Path) -> None:
    for data in (write_folder(tmp_path / "folder"), write_zip(tmp_path / "a.zip", FILES)):
        found = read(str(data))
        assert found == FILES
        assert list(found) == IN_NATURAL_ORDER


def test_class_folders_on_disks_of_their_own_are_all_read(tmp_path: Path) -> None:
    # The first folder of each such file system has the same inode.
    with small_disk(tmp_path / "cats", "100k"), small_disk(tmp_path / "dogs", "100k"):
        assert read(str(write_folder(tmp_path))) == FILES


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_yields_every_file(tmp_path: Path, mode: str) -> None:
    files = FILES | {f"dogs/{'long' * 50}.jpg": b"long"}
    assert read(str(write_tar(tmp_path / "archive", mode, files))) == files


def test_tar_compressed_with_zstd_yields_every_file(tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "plain.tar", "w", FILES)
    with pa.output_stream(tmp_path / "pets.tar.zst", compression="zstd") as file:
        file.write(plain.read_bytes())
    assert read(str(tmp_path / "pets.tar.zst")) == FILES


def test_archive_comes_from_the_web_in_spite_of_failures(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", FILES)
    with serve_folder(tmp_path, failures=["503", "429"]) as address:
        assert read(f"{address}/a.zip") == FILES


def test_archive_cut_off_on_the_way_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.01)
    write_zip(tmp_path / "a.zip", FILES)
    with (
        serve_folder(tmp_path, failures=["truncate"] * 1000) as address,
        pytest.raises(HeadstartError, match=r"a\.zip"),
    ):
        read(f"{address}/a.zip")


def test_secrets_of_an_address_are_in_no_message(tmp_path: Path) -> None:
    with serve_folder(tmp_path) as address:
        url = address.replace("//", "//user:hunter2@") + "/none.zip?signature=hunter3"
        with pytest.raises(HeadstartError, match=r"none\.zip': nothing is there") as caught:
            read(url)
    assert "hunter" not in str(caught.value)


def test_junk_is_left_out(tmp_path: Path) -> None:
    junk = {"__MACOSX/cats/._2.jpg": b"", ".DS_Store": b"", "cats/Thumbs.db": b"", "cats/.hidden/3.jpg": b""}
    assert read(str(write_zip(tmp_path / "a.zip", FILES | junk))) == FILES


def test_links_in_a_tar_are_listed_and_not_followed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", "w", FILES)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("cats/passwd.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert read(str(path)) == FILES | {"cats/passwd.jpg": "link"}


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz"])
def test_bombs_are_refused_before_they_go_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    zeros = {f"cats/{number}.jpg": bytes(2**20) for number in range(30)}
    path = tmp_path / "bomb"
    if mode == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in zeros.items():
                archive.writestr(name, content)
    else:
        write_tar(path, mode, zeros)
    monkeypatch.setattr(archives, "_FREE_OF_RATIO_BYTES", 10 * 2**20)
    if mode != "w":
        with pytest.raises(HeadstartError, match=r"unpacks to more than 10,485,760; that is what archives made to"):
            read(str(path))
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 20 * 2**20)
    with pytest.raises(HeadstartError, match="unpacks to more than"):
        read(str(path))


def test_sha256_is_checked(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", FILES)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read(str(path), digest.upper()) == FILES
    with pytest.raises(HeadstartError, match=f"has the SHA-256 {digest}, not {'0' * 64}"):
        read(str(path), "0" * 64)


def test_file_too_large_for_an_image_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (archives, file_contents):
        monkeypatch.setattr(module, "MAX_FILE_BYTES", 3)
    files = FILES | {"dogs/2.jpg": b"four"}
    (tmp_path / "folder").mkdir()
    folder = write_folder(tmp_path / "folder")
    (folder / "dogs/2.jpg").write_bytes(b"four")
    for data in (write_zip(tmp_path / "a.zip", files), write_tar(tmp_path / "a.tar", "w", files), folder):
        assert read(str(data))["dogs/2.jpg"] == "too large"


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
    with pytest.raises(HeadstartError, match="no store for"):
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


def test_a_tilde_before_no_users_name_is_one() -> None:
    with (
        pytest.raises(HeadstartError, match="~nobody-of-that-name' does not exist"),
        open_source("~nobody-of-that-name"),
    ):
        pass
