from headstart.components.core.natural import natural_key


def test_numbers_are_compared_as_numbers() -> None:
    names = ["cat.10.jpg", "cat.2.jpg", "Cat.1.jpg", "cat.jpg", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "Cat.1.jpg", "cat.2.jpg", "cat.10.jpg", "cat.jpg"]
