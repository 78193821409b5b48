"""A whole dataset from object storage and the web, with faults on the way: nothing is lost and nothing changes."""

import csv
import io
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from support.faults import Fault, Request
from support.hostile import encode_image, make_image
from support.stores import Stored

from headstart.components.core.artifacts.dataset import DatasetInfo, read_rows
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset.step import DownloadSettings, download_dataset
from headstart.components.list_data.step import list_data

IMAGES = {
    f"{name}/{number}.jpg": encode_image(make_image(1000 * label + number, 160, 120), quality=95)
    for label, name in enumerate(("cats", "dogs"))
    for number in range(30)
}


def download(data: str, tmp_path: Path, **settings: object) -> DatasetInfo:
    return download_dataset([data], tmp_path / "out", tmp_path / "hygiene.html", DownloadSettings(**settings))


def pack_archive(tmp_path: Path, kind: str = "zip") -> bytes:
    return Path(shutil.make_archive(str(tmp_path / "pets"), kind, write_folder(tmp_path))).read_bytes()


def write_folder(tmp_path: Path) -> Path:
    for name, content in IMAGES.items():
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "pets"


def undisturbed_digest(tmp_path: Path) -> str:
    return download(str(write_folder(tmp_path)), tmp_path / "undisturbed").digest


KINDS = ("reset", "truncate", "corrupt", "503", "429", "500", "slow")


def draw_faults(seed: int) -> Callable[[Request], Fault | None]:
    """Faults of every kind, up to two in a row for an object, in whatever order objects are requested."""
    asked: Counter[str] = Counter()

    def fault(request: Request) -> Fault | None:
        # Without the bucket, whose name differs between runs.
        name = "/".join(unquote(urlsplit(request.path).path).split("/")[-2:])
        asked[name] += 1
        draw = random.Random(f"{seed} {name} {asked[name]}")
        if asked[name] > 2 or draw.random() < 0.5:
            return None
        return Fault(draw.choice(KINDS), draw.randrange(3000), seconds=0.1)

    return fault


def test_prefix_with_faults_gives_the_undisturbed_dataset(listed: Stored, tmp_path: Path) -> None:
    for name, content in IMAGES.items():
        listed.upload(f"data/pets/{name}", content)
    listed.upload("data/pets/cats/.DS_Store", b"junk")
    listed.upload("data/pets-not/cats/1.jpg", b"of another prefix")
    listed.proxy.spoil(draw_faults(1))
    info = download(listed.uri("data/pets"), tmp_path)
    assert info.digest == undisturbed_digest(tmp_path)
    assert {row.path: row.image for row in read_rows(tmp_path / "out")} == IMAGES


def test_archive_with_faults_gives_the_undisturbed_dataset(bucket: Stored, tmp_path: Path) -> None:
    uri = bucket.upload("pets.zip", pack_archive(tmp_path))
    faults = [
        Fault("reset", 40_000),
        Fault("truncate", 30_000),
        Fault("503"),
        Fault("429"),
        Fault("slow", 9, seconds=0.3),
    ]
    bucket.proxy.spoil(faults)
    assert download(uri, tmp_path).digest == undisturbed_digest(tmp_path)
    assert len(bucket.proxy.reads) >= len(faults)


def test_archive_that_arrives_altered_is_fetched_again(listed: Stored, tmp_path: Path) -> None:
    uri = listed.upload("pets.tar", pack_archive(tmp_path, "tar"))
    listed.proxy.spoil([Fault("corrupt", 50_000)])
    assert download(uri, tmp_path).digest == undisturbed_digest(tmp_path)


def test_manifest_in_a_bucket_names_objects_beside_it_and_elsewhere(
    gcs: Stored, minio: Stored, tmp_path: Path
) -> None:
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["image", "label", "split"])
    for number, (name, content) in enumerate(IMAGES.items()):
        store = (gcs, minio)[number % 2]
        uri = store.upload(f"lists/{name}", content)
        writer.writerow([name if store is gcs else uri, name.split("/")[0], ("train", "test")[number % 3 == 0]])
    writer.writerow(["cats/nowhere.jpg", "cats", "train"])
    writer.writerow(["/etc/hostname", "cats", "train"])
    uri = gcs.upload("lists/pets.csv", rows.getvalue().encode())
    gcs.proxy.spoil([None, Fault("503"), Fault("reset", 1000), Fault("truncate", 1000)])
    assert download(uri, tmp_path).digest == undisturbed_digest(tmp_path)
    with (tmp_path / "out" / "quarantine.csv").open(newline="") as file:
        assert {row["file"]: row["reason"] for row in csv.DictReader(file)} == {
            "cats/nowhere.jpg": "missing",
            "/etc/hostname": "unreadable",
        }
    assert {row.split for row in read_rows(tmp_path / "out")} == {"train", "test"}


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_manifest_behind_a_password_and_a_signature_names_images_beside_it(
    web: Stored, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def signed(uri: str) -> str:
        return uri.replace("//", "//me:secret@") + "?signature=secret/1#secret"

    rows = []
    for number, (name, content) in enumerate(IMAGES.items()):
        odd = name.replace("/", "/#1 50%?")
        uri = web.upload(odd, content)
        rows.append({"image": signed(uri) if number % 2 else odd, "label": name.split("/")[0]})
    rows.append({"image": signed(web.uri("cats/nowhere.jpg")), "label": "cats"})
    lines = map(json.dumps, rows) if kind == "jsonl" else ["image,label", *map(",".join, map(dict.values, rows))]
    uri = signed(web.upload(f"pets.{kind}", "\n".join(lines).encode()))

    assert download(uri, tmp_path).digest == undisturbed_digest(tmp_path)
    before = list_data([uri])
    assert list_data([uri]) == before
    assert all(request.headers["Authorization"] for request in web.proxy.requests)
    for number in (0, 1):
        web.upload(f"cats/#1 50%?{number}.jpg", IMAGES["dogs/0.jpg"])
        assert list_data([uri]) != before
        before = list_data([uri])

    files = (tmp_path / "hygiene.html", tmp_path / "out" / "quarantine.csv", tmp_path / "out" / "dataset.json")
    texts = [path.read_text() for path in files] + [row.path for row in read_rows(tmp_path / "out")]
    assert "secret" not in "".join([*texts, *capfd.readouterr()])
    assert "cats/nowhere.jpg" in texts[1]


def test_json_lines_on_the_web(web: Stored, tmp_path: Path) -> None:
    lines = []
    for name, content in IMAGES.items():
        web.upload(name, content)
        lines.append(json.dumps({"image": name, "label": name.split("/")[0]}))
    uri = web.upload("pets.jsonl", "\n".join(lines).encode())
    assert download(uri, tmp_path).digest == undisturbed_digest(tmp_path)


def test_parquet_in_a_bucket(listed: Stored, tmp_path: Path) -> None:
    digest = undisturbed_digest(tmp_path)
    for path in (tmp_path / "undisturbed" / "out").iterdir():
        listed.upload(f"dataset/{path.name}", path.read_bytes())
    assert download(listed.uri("dataset"), tmp_path).digest == digest


def test_object_that_vanishes_after_the_listing_is_listed_as_missing(listed: Stored, tmp_path: Path) -> None:
    for name, content in IMAGES.items():
        listed.upload(name, content)
    listed.proxy.spoil([Fault("404")])
    assert download(listed.uri(""), tmp_path).images == len(IMAGES) - 1
    assert "missing" in (tmp_path / "out" / "quarantine.csv").read_text()


def test_store_that_stays_away_stops_the_run_in_one_line(listed: Stored, tmp_path: Path) -> None:
    for name, content in IMAGES.items():
        listed.upload(name, content)
    listed.proxy.spoil([None] * 10 + [Fault("503")] * 10_000)
    with pytest.raises(HeadstartError, match=listed.bucket):
        download(listed.uri(""), tmp_path)
    assert not (tmp_path / "out" / "dataset.json").exists()
