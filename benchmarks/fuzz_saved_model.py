"""Sends damaged images to a published SavedModel in a process of its own: none may crash it or fill its memory.

    PYTHONPATH=tests python benchmarks/fuzz_saved_model.py out/published/VERSION/saved_model/1 --files 20000 --seed 0

The files are JPEG, PNG, GIF, BMP and WebP in equal parts, of every form that `tests/support/forms.py` makes.
`tests/support/fuzzed.py` damages them, also within chunks whose checksums stay right, and before compression. If a
batch crashes the process, its files are sent one by one; those that crash it again are written to `--keep`.
"""

import argparse
import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from support.fuzzed import draw_image, mutate_files
from support.served import ServedModel


@dataclasses.dataclass
class Tally:
    """Results of a run.

    Attributes:
        files: Number of files by format, the first word of their form.
        answered: Number of files with a label, by format.
        fatal: Files that crashed the process, with their forms.
        after_warm_up: Memory of the process after the first tenth of the batches, in bytes.
        at_the_end: Memory of the process at the end, in bytes.
        most: Peak memory of the process, in bytes.
    """

    files: Counter[str] = dataclasses.field(default_factory=Counter)
    answered: Counter[str] = dataclasses.field(default_factory=Counter)
    fatal: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)
    after_warm_up: int = 0
    at_the_end: int = 0
    most: int = 0


def fuzz(saved_model: Path, files: int, seed: int, batch: int) -> Tally:
    """Sends damaged files to a SavedModel.

    Args:
        saved_model: Folder of the SavedModel.
        files: Number of files.
        seed: Random seed of the damage.
        batch: Number of files per request.
    """
    tally = Tally()
    parts = enumerate(_batches(mutate_files(draw_image(), files, seed), batch))
    todo = next(parts, None)
    while todo is not None:
        with ServedModel(saved_model) as server:
            while todo is not None and (answer := server.predict([content for _, content in todo[1]])):
                for (form, _), label in zip(todo[1], answer.labels, strict=True):
                    tally.files[form.split()[0]] += 1
                    tally.answered[form.split()[0]] += label != b""
                if todo[0] <= files // batch // 10:
                    tally.after_warm_up = answer.bytes_held
                tally.at_the_end, tally.most = answer.bytes_held, max(answer.most_bytes_held, tally.most)
                todo = next(parts, None)
        if todo is not None:
            tally.fatal += _find_fatal(saved_model, todo[1])
            todo = next(parts, None)
    return tally


def _find_fatal(saved_model: Path, files: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Files of a batch that crash a fresh process; the whole batch if none does alone."""
    found = []
    for form, content in files:
        with ServedModel(saved_model) as server:
            if server.predict([content]) is None:
                found.append((form, content))
    return found or files


def _batches(files: Iterator[tuple[str, bytes]], batch: int) -> Iterator[list[tuple[str, bytes]]]:
    part: list[tuple[str, bytes]] = []
    for each in files:
        part.append(each)
        if len(part) == batch:
            yield part
            part = []
    if part:
        yield part


def main() -> None:
    """Parses the command line, sends the files and prints a table; exits with 1 if a file crashed the process."""
    parser = argparse.ArgumentParser(description="Send damaged images to a SavedModel.")
    parser.add_argument("saved_model", type=Path, help="folder of a SavedModel, such as .../saved_model/1")
    parser.add_argument("--files", type=int, default=20_000, help="damaged files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the damage (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="files per request (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for the files that crash the process")
    arguments = parser.parse_args()
    started = time.perf_counter()
    tally = fuzz(arguments.saved_model, arguments.files, arguments.seed, arguments.batch)
    print("| format | files | answered |\n| --- | --- | --- |")
    for kind, files in tally.files.items():
        print(f"| {kind} | {files:,} | {tally.answered[kind]:,} |")
    megabytes = [round(value / 1e6) for value in (tally.after_warm_up, tally.at_the_end, tally.most)]
    print(
        f"\n{len(tally.fatal)} files crashed the process; {time.perf_counter() - started:.0f} s; memory "
        f"{megabytes[0]:,} MB after a tenth of the files, {megabytes[1]:,} MB at the end, {megabytes[2]:,} MB at most"
    )
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        for number, (form, content) in enumerate(tally.fatal):
            (arguments.keep / f"{number:03d} {form.replace('/', ' ')}").write_bytes(content)
    sys.exit(bool(tally.fatal))


if __name__ == "__main__":
    main()
