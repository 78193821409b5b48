"""How many pictures the tests draw of each class, broken ones aside."""

PER_CLASS = 60
