import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.commands import eventually

from headstart.components.core.sources import Unreadable
from headstart.components.core.sources.file_contents import read_file
from headstart.components.core.util.errors import HeadstartError
from headstart.components.download_dataset import image_checks
from headstart.components.download_dataset.image_checks import FileToCheck, check_files
from headstart.components.download_dataset.step import download_dataset


def workers(parent: int | str = "self") -> list[int]:
    """Worker processes of a process."""
    found = []
    for thread in Path(f"/proc/{parent}/task").iterdir():
        for pid in (thread / "children").read_text().split():
            if b"download_dataset.check_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def files(pictures: Path) -> list[FileToCheck]:
    """All drawn images, the broken ones too, and some that cannot be read."""
    found = [
        FileToCheck(path.name, "x", "", "", functools.partial(read_file, path)) for path in sorted(pictures.iterdir())
    ]
    found[40:40] = [
        FileToCheck(f"gone.{number}.jpg", "x", "", "", functools.partial(gone, number)) for number in range(3)
    ]
    return found


def gone(number: int) -> bytes:
    raise Unreadable("missing", f"number {number}")


def rows_of(batches: Iterator[image_checks.CheckedBatch]) -> list[dict[str, Any]]:
    checked = list(batches)
    paths = [file.path for each in checked for file in each.files]
    rows = pa.Table.from_batches([each.results for each in checked]).to_pylist()
    assert len(rows) == len(paths)
    return [{"path": path} | row for path, row in zip(paths, rows, strict=True)]


def test_results_are_the_same_with_any_number_of_processes(pictures: Path) -> None:
    alone = rows_of(check_files(files(pictures), False, 512, processes=1))
    assert [row["path"] for row in alone] == [file.path for file in files(pictures)]
    assert [row["detail"] for row in alone if row["reason"] == "missing"] == ["number 0", "number 1", "number 2"]
    assert rows_of(check_files(files(pictures), False, 512, processes=3)) == alone
    assert rows_of(check_files(files(pictures), True, 512, processes=2)) == alone
    assert workers() == []


def test_dataset_is_the_same_with_any_number_of_processes(
    pictures: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_checks, "available_cores", lambda: 3)
    download_dataset([str(pictures)], tmp_path / "out", tmp_path / "page.html")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_bytes() for path in dataset.iterdir()
    }


def test_killed_process_is_one_line_and_leaves_no_other(pictures: Path) -> None:
    def kill() -> bytes:
        assert eventually(lambda: bool(workers()))
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
        return good[0].load()

    good = files(pictures)[:20]
    with pytest.raises(HeadstartError, match=r"checked the files from 'cat.*' was killed \(SIGKILL\)") as caught:
        list(check_files([*good * 4, FileToCheck("cat.last.jpg", "x", "", "", kill), *good * 4], False, 512))
    assert "memory" in str(caught.value) and "\n" not in str(caught.value)
    assert workers() == []


def test_no_process_is_left_when_the_results_are_not_read(pictures: Path) -> None:
    batches = check_files(files(pictures) * 5, False, 512)
    next(batches)
    assert workers()
    batches.close()
    assert workers() == []


def test_processes_end_with_the_one_that_started_them(pictures: Path) -> None:
    code = (
        "import sys, time\n"
        "from headstart.components.download_dataset.image_checks import FileToCheck, check_files\n"
        "def load():\n    return open(sys.argv[1], 'rb').read()\n"
        "files = [FileToCheck('a', 'x', '', '', load)] * 32 * 20\n"
        "for _ in check_files(files, False, 512):\n    print('one', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(pictures / "cat.1.jpg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"one\n"
        started = workers(parent.pid)
        assert started
        parent.kill()
        parent.wait()
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))


def test_small_work_starts_one_process_only(pictures: Path) -> None:
    batches = check_files(files(pictures)[:8], False, 512, processes=4)
    next(batches)
    (worker,) = workers()
    assert b"pandas" not in Path(f"/proc/{worker}/maps").read_bytes(), "imported for nothing, it takes longest"
    assert list(batches) == []
