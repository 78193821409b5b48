from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headstart.pipelines.progress.display import show_comparison


def row(name: str, difference: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "name": name,
        "accuracy": 0.9,
        "accuracy_interval": (0.8, 0.95),
        "log_loss": 0.3,
        "difference": difference,
        "seconds": 2.0,
    }


@pytest.mark.parametrize("disagrees", [True, False])
def test_lower_test_loss_of_another_variant_is_a_line(disagrees: bool, tmp_path: Path) -> None:
    comparison = {
        "images": 100,
        "validation_images": 50,
        "chosen": "b",
        "rows": [row("a", {"accuracy": 0.01, "verdict": "cannot tell"}), row("b", None)],
        "test_disagreement": {"variant": "a", "log_loss": -0.02, "log_loss_interval": (-0.05, 0.01)}
        if disagrees
        else None,
    }
    console = Console(record=True, width=200)
    show_comparison(console, comparison, tmp_path, 0)
    text = console.export_text()
    line = "note    a has a lower log loss on the test images: -0.0200 (-0.0500 to +0.0100)"
    assert "chosen  b, by 50 validation images" in text and (line in text) == disagrees


def test_every_variant_is_one_line_of_80_columns(tmp_path: Path) -> None:
    """With the widest cells that the project's own variants and seconds below an hour have."""
    widest = {"accuracy": -0.123, "verdict": "cannot tell"}
    comparison = {
        "images": 100,
        "validation_images": 50,
        "chosen": "fine_tuned",
        "rows": [{**row("from_scratch", widest), "seconds": 3599.9}, row("fine_tuned", None)],
    }
    console = Console(record=True, width=80)
    show_comparison(console, comparison, tmp_path, 0)
    lines = console.export_text().splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["variant", "from_scratch", "fine_tuned"]
    assert "cannot tell" in lines[2] and lines[2].endswith("3599.9 s") and "0.800 to 0.950" in lines[2]
