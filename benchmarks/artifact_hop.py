"""Times one hop of 4,000 images through MinIO: as a dataset artifact, and as a tree of JPEG files.

    python benchmarks/artifact_hop.py IMAGES --latency 0.02

IMAGES is a zip archive of photos. A pipeline's launcher uploads what a step wrote, object by object, and downloads
it before the next step; this script does the same, with boto3 on one thread. `--latency` sleeps before every request,
to simulate a store on another machine; without it the store is a folder on the same disk.

With Kaggle's 4,000 cats and dogs of 200 x 200 pixels, on two cores of a shared machine:

========  =======  =====  =======  ======  =========  ===========
what      objects  MB     up       down    up, 20 ms  down, 20 ms
========  =======  =====  =======  ======  =========  ===========
artifact  3        32.1   0.15 s   0.04 s  0.20 s     0.13 s
tree      4,000    32.0   13.26 s  7.99 s  102.11 s   101.23 s
========  =======  =====  =======  ======  =========  ===========

Medians of three rounds without latency; one round with it, while other work ran. The artifact has since got three
small objects more.
"""

import argparse
import dataclasses
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from headstart.components.core.util.logs import start_logging
from headstart.components.download_dataset import step

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import stores


@dataclasses.dataclass(frozen=True)
class Hop:
    """Times of an upload and a download.

    Attributes:
        up: Duration of the upload in seconds.
        down: Duration of the download in seconds.
    """

    up: float
    down: float


def hop(client: Any, bucket: str, folder: Path, latency: float) -> Hop:
    """Uploads every file of a folder, one after the other, lists them, and downloads them into another folder.

    Args:
        client: Client of boto3.
        bucket: Name of an empty bucket.
        folder: Folder to send.
        latency: Seconds to sleep before each request.
    """

    def request(name: str, **arguments: Any) -> Any:
        time.sleep(latency)
        return getattr(client, name)(Bucket=bucket, **arguments)

    started = time.perf_counter()
    for path in list_files(folder):
        with path.open("rb") as body:
            request("put_object", Key=path.relative_to(folder).as_posix(), Body=body)
    up = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as there:
        started = time.perf_counter()
        keys: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = request("list_objects_v2", **token)
            # If the last page is full, MinIO announces another one, which is empty.
            keys += [each["Key"] for each in page.get("Contents", [])]
            if not page["IsTruncated"]:
                break
            token = {"ContinuationToken": page["NextContinuationToken"]}
        for key in keys:
            target = Path(there, key)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for part in request("get_object", Key=key)["Body"].iter_chunks(2**20):
                    file.write(part)
        down = time.perf_counter() - started
        assert count_bytes(Path(there)) == count_bytes(folder), "what came back is not what was sent"  # noqa: S101
    return Hop(up, down)


def list_files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def count_bytes(folder: Path) -> int:
    """Size of all files below a folder, in bytes."""
    return sum(path.stat().st_size for path in list_files(folder))


def main() -> None:
    """Parses the command line, makes the artifact, sends both to and fro, and prints the times."""
    parser = argparse.ArgumentParser(description="Time an artifact's hop through an object store.")
    parser.add_argument("images", type=Path, help="a zip archive of photos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to sleep before each request")
    args = parser.parse_args()
    start_logging()
    with tempfile.TemporaryDirectory(prefix="hop-") as folder:
        artifact, tree, kept = (Path(folder, name) for name in ("artifact", "tree", "minio"))
        step.download_dataset([str(args.images)], artifact, Path(folder, "hygiene.html"))
        with zipfile.ZipFile(args.images) as archive:
            archive.extractall(tree)
        kept.mkdir()
        hops: dict[Path, list[Hop]] = {artifact: [], tree: []}
        try:
            with stores.start_minio(kept) as minio:
                for turn in range(args.rounds):
                    for each in hops:
                        bucket = f"{each.name}-{turn}"
                        minio.make_bucket(bucket)
                        hops[each].append(hop(minio.client, bucket, each, args.latency))
                        print(f"round {turn + 1}: {each.name}: {hops[each][-1]}", flush=True)
        except pytest.skip.Exception as reason:
            print(f"skipped: {reason}")
            return
        print(f"medians of {args.rounds} rounds, {1000 * args.latency:.0f} ms slept before each request:")
        for each, times in hops.items():
            up, down = (statistics.median(getattr(each_hop, way) for each_hop in times) for way in ("up", "down"))
            print(
                f"  {each.name:8s} {len(list_files(each)):5,} objects, {count_bytes(each) / 1e6:.1f} MB: "
                f"up {up:.2f} s, down {down:.2f} s"
            )


if __name__ == "__main__":
    main()
