"""Asks a published SavedModel of damaged pictures in a process of its own: none may end it, or fill its memory.

    PYTHONPATH=tests python benchmarks/fuzz_saved_model.py out/published/VERSION/saved_model/1 --files 20000 --seed 0

The files are JPEG, PNG, GIF, BMP and WebP in equal parts, of every form that `tests/support/forms.py` makes, damaged
by `tests/support/fuzzed.py`: also within chunks whose checksums are right, and before compression. Where a batch
ends the process, the files of that batch are asked of one by one; those that end it again are written to `--keep`.
"""

import argparse
import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from support.fuzzed import mutated, picture
from support.served import ServedModel


@dataclasses.dataclass
class Tally:
    """What came of the files.

    Attributes:
        files: Files asked of, by the first word of their form.
        answered: Those of them that got a label.
        fatal: Files that ended the process, with their forms.
        after_warm_up: Bytes that the process held after the first tenth of the batches.
        at_the_end: Bytes that it held at the end.
        most: Bytes that it held at most.
    """

    files: Counter[str] = dataclasses.field(default_factory=Counter)
    answered: Counter[str] = dataclasses.field(default_factory=Counter)
    fatal: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)
    after_warm_up: int = 0
    at_the_end: int = 0
    most: int = 0


def fuzz(saved_model: Path, files: int, seed: int, batch: int) -> Tally:
    """Asks of damaged files.

    Args:
        saved_model: Folder of the SavedModel.
        files: Number of files.
        seed: Random seed of the damage.
        batch: Files in a request.
    """
    tally = Tally()
    parts = enumerate(_batches(mutated(picture(), files, seed), batch))
    todo = next(parts, None)
    while todo is not None:
        with ServedModel(saved_model) as server:
            while todo is not None and (said := server.ask([content for _, content in todo[1]])):
                for (form, _), label in zip(todo[1], said.labels, strict=True):
                    tally.files[form.split()[0]] += 1
                    tally.answered[form.split()[0]] += label != b""
                if todo[0] <= files // batch // 10:
                    tally.after_warm_up = said.bytes_held
                tally.at_the_end, tally.most = said.bytes_held, max(said.most_bytes_held, tally.most)
                todo = next(parts, None)
        if todo is not None:
            tally.fatal += _fatal(saved_model, todo[1])
            todo = next(parts, None)
    return tally


def _fatal(saved_model: Path, named: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Those of a batch that end a process that is asked of nothing else; the whole batch if none does."""
    found = []
    for form, content in named:
        with ServedModel(saved_model) as server:
            if server.ask([content]) is None:
                found.append((form, content))
    return found or named


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
    """Parses the command line, asks, and prints what came of it; exits with 1 where a file ended the process."""
    parser = argparse.ArgumentParser(description="Ask a SavedModel of damaged pictures.")
    parser.add_argument("saved_model", type=Path, help="folder of a SavedModel, such as .../saved_model/1")
    parser.add_argument("--files", type=int, default=20_000, help="damaged files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="what is damaged, and how (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="files in a request (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for the files that end the process")
    arguments = parser.parse_args()
    started = time.perf_counter()
    tally = fuzz(arguments.saved_model, arguments.files, arguments.seed, arguments.batch)
    print("| format | files | answered |\n| --- | --- | --- |")
    for kind, files in tally.files.items():
        print(f"| {kind} | {files:,} | {tally.answered[kind]:,} |")
    megabytes = [round(value / 1e6) for value in (tally.after_warm_up, tally.at_the_end, tally.most)]
    print(
        f"\n{len(tally.fatal)} files ended the process; {time.perf_counter() - started:.0f} s; it held "
        f"{megabytes[0]:,} MB after a tenth of the files, {megabytes[1]:,} MB at the end, {megabytes[2]:,} MB at most"
    )
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        for number, (form, content) in enumerate(tally.fatal):
            (arguments.keep / f"{number:03d} {form.replace('/', ' ')}").write_bytes(content)
    sys.exit(bool(tally.fatal))


if __name__ == "__main__":
    main()
