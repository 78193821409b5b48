from headstart.components.core.util.natural_sort import natural_key


def test_numbers_are_compared_as_numbers() -> None:
    names = ["cat.10.jpg", "cat.2.jpg", "Cat.1.jpg", "cat.jpg", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "Cat.1.jpg", "cat.2.jpg", "cat.10.jpg", "cat.jpg"]


def test_numbers_of_any_length_and_script() -> None:
    names = ["a" + "9" * 5000, "a1" + "0" * 5000, "a٣", "a2", "a10", "a02", "a", "a\udce9", "b"]
    expected = ["a", "a02", "a2", "a٣", "a10", "a" + "9" * 5000, "a1" + "0" * 5000, "a\udce9", "b"]
    assert sorted(names, key=natural_key) == expected
