"""The test images that the report holds, joined with their predictions."""

from dataclasses import replace

import numpy as np
from support.evaluations import draw_feature_map, draw_predictions, make_noise_examples

from headstart.components.evaluate_model.image_browser import SUSPECTS, browse_images, place_images


def test_images_of_the_page_are_those_of_the_predictions() -> None:
    predictions = draw_predictions(120, ["cat", "dog", "fox"], 0)
    browser = browse_images(predictions, predictions.probabilities, make_noise_examples(predictions))
    assert [each.number for each in browser.images] == list(range(120))
    assert sorted(each.row for each in browser.images) == list(range(120))
    assert browser.total_mistakes == (~predictions.right).sum()
    assert not any(each.right for each in browser.mistakes) and all(each.right for each in browser.correct)
    assert [each.confidence for each in browser.mistakes] == sorted(
        (each.confidence for each in browser.mistakes), reverse=True
    )
    assert browser.slices == ["site = east", "site = north", "site = south"]
    for each in browser.images:
        assert browser.slices[each.slices[0]] == f"site = {predictions.slices['site'][each.row]}"
        assert (each.label, each.predicted) == (predictions.labels[each.row], predictions.predicted[each.row])
    values = browser.as_json()
    assert len(values["images"]) == 120 and values["always"] == len(browser.mistakes) + len(browser.correct)
    assert [bool(each[-1]) for each in values["images"]] == [
        number >= values["always"] for number in range(len(values["images"]))
    ]


def test_galleries_of_an_earlier_version_show_each_image_once() -> None:
    predictions = draw_predictions(60, ["cat", "dog"], 0, strength=1)
    thumbnails = [each for each in make_noise_examples(predictions) if each.heat]
    again = [replace(each, gallery="least sure") for each in thumbnails[:10]]
    suspect = replace(thumbnails[0], gallery=SUSPECTS, id="0" * 8)
    browser = browse_images(predictions, predictions.probabilities, [*thumbnails, *again, suspect])
    assert len(browser.images) == len(thumbnails) and not browser.further


def test_map_shows_mistakes_on_top() -> None:
    predictions = draw_predictions(60, ["cat", "dog"], 0, strength=1)
    browser = browse_images(predictions, predictions.probabilities, make_noise_examples(predictions))
    feature_map = draw_feature_map(predictions)
    points = place_images(browser, predictions, predictions.probabilities, feature_map)
    assert np.all(np.diff([not each.right for each in points]) >= 0)
    for each in points:
        place = feature_map.ids.index(predictions.ids[each.row])
        assert (each.x, each.y) == (feature_map.x[place], feature_map.y[place])
        assert each.image is not None and browser.images[each.image].row == each.row
