"""The page of what Linewitness was tried with is made from the tests, and each part has its test."""

import re

import pytest

from foreign.tried_with import COMMAND, PAGE, TABLES, TESTS, Part, page, upstream

PARTS = [part for parts in TABLES.values() for part in parts]


def test_the_page_is_that_of_the_tests() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f"write it anew: {COMMAND}"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.product)
def test_a_part_has_its_test(part: Part) -> None:
    file, name = part.test
    assert re.search(rf"^async def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_each_test_of_a_foreign_part_is_on_the_page() -> None:
    found = {f"foreign/{file.name}" for file in (TESTS / "foreign").glob("test_*.py")}
    assert found <= {part.test[0] for part in PARTS}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.1.6-2.1+deb12u1", "3.1.6"),
        ("1:2.9.10-1+b3", "2.9.10"),
        ("2.0.11-1.2+deb12u2", "2.0.11"),
        ("5", "5"),
    ],
)
def test_the_revision_of_the_distribution_does_not_matter(version: str, expected: str) -> None:
    assert upstream(version) == expected
