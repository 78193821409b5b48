"""A learning-rate range test with made-up losses: everything but the network."""

from pathlib import Path

import numpy as np

from headstart.components.core.artifacts.history import Step
from headstart.components.core.reports.learning_rate import (
    KIND,
    PAGE,
    RangeTestSettings,
    analyse_range_test,
    write_range_test,
)
from headstart.components.core.reports.page import PageHeader


def drawn_range_test(folder: Path) -> Path:
    """Writes the page and the table of a range test whose loss falls, then rises, and returns the page's path."""
    rates = np.geomspace(1e-5, 1, 100)
    before = 2 + 0.1 * np.random.default_rng(0).normal(size=100)
    after = before - np.minimum(1, 80 * rates) + np.where(rates > 0.1, 8 * rates, 0)
    steps = [
        (Step(0.0, first, 0.5), Step(rate, loss, 0.5))
        for rate, first, loss in zip(rates.tolist(), before.tolist(), after.tolist(), strict=True)
    ]
    header = PageHeader(
        KIND,
        "2026-01-02T03:04:05+00:00",
        "2 classes: cat (600), dog (600); from the folders of pets",
        "mobilenet_v2, 224 x 224 pixels",
        "headstart learning-rate --data pets",
    )
    write_range_test(folder, analyse_range_test(steps), RangeTestSettings("head", 1200, 32, 0), header)
    return folder / PAGE
