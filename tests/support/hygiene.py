"""Data of hygiene pages with random measures: everything but the images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from headstart.components.core.sources.quarantine import QuarantinedFile
from headstart.components.download_dataset.hygiene_data import HygieneData
from headstart.components.download_dataset.hygiene_report import HygienePage


def properties(counts: Sequence[int], **columns: Any) -> pa.Table:
    """Unremarkable images, so many of each class; columns given here replace their properties."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    images = len(labels)
    values = {
        "path": [f"{label}/{number}.jpg" for number, label in enumerate(labels)],
        "label": labels.astype(np.int32),
        "split": [""] * images,
        "format": ["JPEG"] * images,
        "exif": [""] * images,
        "form": pa.nulls(images, pa.string()),
        "black": pa.nulls(images, pa.float64()),
        "white": pa.nulls(images, pa.float64()),
        "file_bytes": random.integers(10_000, 90_000, images),
        "width": random.choice([320, 400, 500, 640], images),
        "height": random.choice([300, 375, 480], images),
        **{colour: random.normal(120, 20, images) for colour in ("red", "green", "blue")},
        "shadows": np.full(images, 30.0),
        "highlights": np.full(images, 220.0),
        "contrast": np.full(images, 200.0),
        "sharpness": np.full(images, 5.0),
    }
    values |= {"stored_width": values["width"], "stored_height": values["height"]} | columns
    return pa.table(values)


def hygiene(table: pa.Table, classes: Sequence[str] = ("cat", "dog"), **others: Any) -> HygieneData:
    values: dict[str, Any] = {
        "sources": ["images"],
        "classes": classes,
        "why": "the class is the folder",
        "properties": table,
        "quarantined": [],
        "ignored": 0,
        "groups": [],
        "digest": "ab" * 32,
        "read_image": lambda row: Image.effect_noise((200, 150), 90).convert("RGB"),
    }
    return HygieneData(**(values | others))


def drawn_data_page(folder: Path) -> Path:
    """Writes a data page with every section into a folder, and returns its path."""
    images, bright, forms = 140, np.full(140, 220.0), np.array(["PNG gray uint16"] * 4 + [None] * 136, object)
    bright[:30] = 10.0
    deep = pa.array(forms, pa.string())
    black, white = (pa.array([value if form else None for form in forms], pa.float64()) for value in (0.0, 4095.0))
    table = properties([100, 40], highlights=bright, form=deep, black=black, white=white)
    bad = [
        QuarantinedFile(f"cats/a/long/folder/img_{number}.jpg", "truncated", "image file is truncated (12 bytes)")
        for number in range(20)
    ]
    data = hygiene(
        table,
        groups=[[0, 1], [2, images - 30]],
        quarantined=bad,
        label_source="the folders of pets",
        ranges={"PNG gray uint16": (0.0, 4095.0)},
    )
    page = folder / "data.html"
    page.write_text(HygienePage(data).render("2026-01-02T03:04:05+00:00"), encoding="utf-8")
    return page
