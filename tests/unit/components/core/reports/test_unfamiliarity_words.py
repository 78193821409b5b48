"""The promise is stated only where the validation images are enough for it; else the line says how many it takes."""

import dataclasses

import numpy as np
import pytest

from headstart.components.core.metrics.unfamiliarity import choose_threshold
from headstart.components.core.reports.unfamiliarity_words import describe_promise, describe_threshold


def chosen_on(images: int) -> dict[str, object]:
    threshold = dataclasses.asdict(choose_threshold(np.linspace(0, 0.5, images), 0.01))
    measured = {
        "neighbours": 5,
        "reference_images": 2_000,
        "flagged": 1,
        "share": 0.05,
        "share_interval": (0.01, 0.2),
    }
    return threshold | measured


@pytest.mark.parametrize(("images", "bound"), [(3, "63.2"), (40, "7.22"), (298, "1")])
def test_too_few_validation_images_are_named_with_the_number_that_it_takes(images: int, bound: str) -> None:
    line = describe_promise(chosen_on(images))
    assert line.startswith(f"up to {bound} % of new images like these may be flagged")
    assert line.endswith(f"1 % takes 299 validation images, there are {images}")


def test_enough_validation_images_keep_the_promise() -> None:
    assert describe_promise(chosen_on(299)) == "at most 1 % of new images like these are flagged as unfamiliar"


def test_the_report_names_rank_reference_and_threshold_and_one_image_is_one() -> None:
    what, promise, found = describe_threshold(chosen_on(299))
    assert "5th nearest of 2,000 training images" in what and what.endswith("above 0.5000.")
    assert promise.startswith("At most 1 %") and "299 validation images chose" in promise
    assert found == "Of the test images 1 is flagged, 5 % (95 % interval 1 % to 20 %)."
    assert "those of the nearest of" in describe_threshold(chosen_on(299) | {"neighbours": 1})[0]
