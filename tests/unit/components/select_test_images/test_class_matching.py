import pytest

from headstart.components.core.util.errors import HeadstartError
from headstart.components.select_test_images.class_matching import match_classes


def test_classes_are_found_by_their_exact_names() -> None:
    assert match_classes({"dog": 3, "cat": 2}, ["cat", "dog", "fox"]) == {0: 1, 1: 0}
    assert match_classes({"wolf": 3, "cat": 2}, ["cat", "dog"], leave_out=True) == {1: 0}


@pytest.mark.parametrize("name", ["Cat", "CAT ", "c_a-t", "ｃａｔ"])  # noqa: RUF001 - that is the point
@pytest.mark.parametrize("leave_out", [False, True])
def test_a_name_that_may_mean_a_known_class_is_a_question(name: str, leave_out: bool) -> None:
    with pytest.raises(HeadstartError, match=r"the data have the class .*, the model 'cat'; are they the same\?"):
        match_classes({name: 3, "dog": 2}, ["cat", "dog"], leave_out)


def test_names_without_letters_are_compared_as_they_are() -> None:
    assert match_classes({"+": 3, "-": 2}, ["+", "-"]) == {0: 0, 1: 1}
    with pytest.raises(HeadstartError, match="does not know '-'"):
        match_classes({"+": 3, "-": 2}, ["+", "*"])


def test_many_classes_are_counted() -> None:
    unknown = {f"class {number}": number for number in range(1, 9)}
    known = [f"kind {number}" for number in range(30)]
    message = r"'class 1' \(1 image\), 'class 2' \(2 images\), .* and 3 more; it knows .* and 25 more; rename"
    with pytest.raises(HeadstartError, match=message):
        match_classes(unknown, known)
