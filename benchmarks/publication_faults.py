"""Counts broken versions after publications that are killed and disturbed at random; there must be none.

    python benchmarks/publication_faults.py --kills 200

On disk, in fake-gcs-server and in MinIO, 2 to 8 processes publish one of eight models each, again and again. Over
half of them get SIGKILL at a random moment. A tenth of the requests to the stores is answered with 429 or 5xx, lost,
garbled, cut short or reset, and so are responses; on disk a fifth of the publishers finds the disk full. Meanwhile a
reader downloads the champion and checks every byte. After each round all versions are checked: each change must have
replaced the one before it, and no reported version may be missing. `fake-gcs-server` and `minio` must be on the PATH.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import pytest
from support.published import version_folder
from support.stores import Server, make_bucket, start_gcs, start_minio
from support.storm import Tally, publish_in_a_storm

_SIZES = (300_000, 300_000, 300_000, 300_000, 300_000, 300_000, 3_000_000, 9_000_000)
"""Sizes of the models in bytes; the last one is uploaded in parts."""

_COLUMNS = ("publishers", "kills", "faults", "published", "overtaken", "unchanged", "gave up", "changes", "versions")


def main() -> None:
    """Runs the storm at each place and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="at each place")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    table = Table("where", *_COLUMNS, "reads", "broken", "seconds")
    broken: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = [version_folder(folder / f"version{seed}", seed, size=size) for seed, size in enumerate(_SIZES)]
        for place in ("disk", "fake-gcs-server", "MinIO"):
            outcomes = folder / f"outcomes-{place}"
            outcomes.mkdir()
            begin = time.monotonic()
            if place == "disk":
                tally = publish_in_a_storm(str(folder / "published"), models, outcomes, given.kills, given.seed)
            elif place == "MinIO":
                with start_minio(folder / "minio") as server:
                    tally = _in_store(server, models, outcomes, given)
            else:
                with start_gcs() as gcs:
                    tally = _in_store(gcs, models, outcomes, given)
            table.add_row(place, *_figures(tally), f"{time.monotonic() - begin:.0f}")
            broken += tally.broken
    Console().print(table)
    if broken:
        sys.exit("\n".join(broken))


def _in_store(server: Server, models: list[Path], outcomes: Path, given: argparse.Namespace) -> Tally:
    with pytest.MonkeyPatch.context() as patch, make_bucket(server, patch) as bucket:
        settings = server.environment(bucket.proxy.address)
        os.environ.update(server.environment(server.address))
        return publish_in_a_storm(
            bucket.uri("models"), models, outcomes, given.kills, given.seed, bucket.proxy, settings
        )


def _figures(tally: Tally) -> list[str]:
    outcomes = tally.outcomes
    figures = [tally.publishers, tally.kills, tally.faults]
    figures += [outcomes[status] for status in ("published", "overtaken", "unchanged", "error")]
    figures += [tally.changes, tally.versions, tally.reads, len(tally.broken)]
    return [f"{figure:,}" for figure in figures]


if __name__ == "__main__":
    main()
