"""Recorded output of real runs: the lines with events, each after its time in seconds.

    python tests/support/recorded_runs.py tests/golden/runs/run.txt run --data IMAGES --output OUT …

runs `headstart run --data …` and writes the lines that its display is fed with.
"""

import sys
import time
from pathlib import Path

RECORDED = Path(__file__).parents[1] / "golden" / "runs"


def read_recorded_run(name: str) -> list[tuple[float, str]]:
    """Times and lines of a recorded run."""
    lines = (RECORDED / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(" ", 1) for line in lines)
    return [(float(seconds), line) for seconds, line in pairs]


def main() -> None:
    from headstart.pipelines.cli import main as cli
    from headstart.pipelines.local import run
    from headstart.pipelines.progress.events import parse

    target = Path(sys.argv[1])
    sys.argv = ["headstart", *sys.argv[2:]]
    started, recorded = time.monotonic(), []

    def parse_and_record(line: str) -> object:
        if (event := parse(line)) is not None:
            recorded.append(f"{time.monotonic() - started:.2f} {line.strip()}\n")
            target.write_text("".join(recorded), encoding="utf-8")
        return event

    run.parse = parse_and_record  # type: ignore[assignment]
    cli.main()


if __name__ == "__main__":
    main()
