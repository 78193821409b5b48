"""Images of each class in each split."""

from headstart.components.evaluate_model.class_balance import compute_class_balance

METRICS = {"classes": ["cat", "dog"], "test": {"per_class": {"cat": {"images": 3}, "dog": {"images": 1}}}}


def test_counts_are_joined_by_name() -> None:
    # The classes of a model may be in another order.
    model = {"class_counts": {"train": {"dog": 20, "cat": 10}, "validation": {"dog": 5, "cat": 4}}}
    balance = compute_class_balance(model, METRICS)
    assert balance.splits == ["train", "validation", "test"]
    assert balance.rows == [("cat", [10, 4, 3]), ("dog", [20, 5, 1])]
    assert (balance.totals, balance.largest) == ([30, 9, 4], 20)


def test_a_model_of_an_earlier_version_knows_its_test_images_alone() -> None:
    balance = compute_class_balance({}, METRICS)
    assert (balance.splits, balance.rows) == (["test"], [("cat", [3]), ("dog", [1])])
