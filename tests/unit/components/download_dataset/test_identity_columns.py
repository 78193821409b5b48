"""Columns that look like an identity, and groups that predict the class."""

from pathlib import Path

import numpy as np
import pytest
from support.hygiene import hygiene, properties

from headstart.components.download_dataset.hygiene_report import HygienePage
from headstart.components.download_dataset.identity_columns import (
    IdentityColumn,
    find_identity_columns,
    looks_like_identity,
    predict_class_by_group,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("patient", "Patient ID", "subject", "SITE", "camera", "video_no", "session-id")),
        *((name, True) for name in ("sequence_id", "dog_id", "first_patient")),
        *((name, False) for name in ("colour", "width", "id", "valid", "website", "impatient", "videotape", "")),
    ],
)
def test_names_of_identities(name: str, expected: bool) -> None:
    assert looks_like_identity(name) == expected


def test_columns_that_a_split_would_divide_are_found() -> None:
    patient = [f"p{number % 20}" for number in range(200)]
    labels = np.arange(200) % 20 % 2
    alone = [str(number) for number in range(200)]
    columns = {
        "patient": patient,
        "site": ["north", "south"] * 100,
        "scan_id": alone,
        "colour": patient,
        "camera": [""] * 200,
    }
    assert find_identity_columns(columns, labels, alone) == [IdentityColumn("patient", 20, 200, 1.0)]
    assert find_identity_columns(columns, labels, patient) == [], "they are the groups already"
    (mixed,) = find_identity_columns({"patient": patient}, np.arange(200) // 20 % 2, alone)
    assert mixed.predicted is None


def test_a_group_predicts_the_class_only_by_its_other_images() -> None:
    assert predict_class_by_group(np.arange(40), np.arange(40) % 2) is None, "one image each"
    assert predict_class_by_group(np.arange(40) // 4, np.arange(40) // 4 % 2) == 1.0
    random = np.random.default_rng(0)
    for _ in range(50):
        assert predict_class_by_group(random.integers(0, 12, 60), random.integers(0, 2, 60)) is None
    assert predict_class_by_group(np.empty(0, int), np.empty(0, int)) is None


def test_the_data_page_points_them_out(tmp_path: Path) -> None:
    data = hygiene(
        properties([60, 60]), identities=[IdentityColumn("Patient ID", 20, 120, 0.97)], unit="site", predicted=0.9
    )
    page = HygienePage(data)
    texts = {each.title: each.text for each in page.summary().findings}
    assert texts["Columns that may name groups"] == (
        "Column 'Patient ID' has 20 values for 120 images, and alone predicts the class of 97 %. If images of one "
        "value are alike, as those of one patient are, a model is tested on what it has seen: keep them together "
        "with --group-column 'Patient ID'."
    )
    assert texts["Groups that predict the class"].startswith(
        "The site alone predicts the class of 90 % of the images"
    )
    assert "Columns that may name groups" in page.render()
    assert "Groups that predict the class" not in HygienePage(hygiene(properties([60, 60]))).render()
