"""The page of what Linewitness was tried with is made from the tests, and each part has its test."""

import json
import re
from pathlib import Path

import pytest

from foreign.tried_with import COMMAND, FOREIGN, MISSING, PAGE, TABLES, TESTS, Missing, Part, page, upstream
from support.npm import INSTALL

LOCK_FILES = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml")
PACKAGES = sorted(FOREIGN.glob("*/package.json"))
PARTS = [part for parts in TABLES.values() for part in parts]


def pinned(file: Path) -> dict[str, str]:
    """Return the packages of a package.json with their versions."""
    return dict(json.loads(file.read_text(encoding="utf-8"))["dependencies"])


def test_the_page_is_that_of_the_tests() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f"write it anew: {COMMAND}"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.product)
def test_a_part_has_its_test(part: Part) -> None:
    file, name = part.test
    assert re.search(rf"^async def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_each_test_of_a_foreign_part_is_on_the_page() -> None:
    found = {f"foreign/{file.name}" for file in (TESTS / "foreign").glob("test_*.py")}
    assert found <= {part.test[0] for part in PARTS}


@pytest.mark.parametrize("each", MISSING, ids=lambda each: each.product)
def test_what_could_not_be_had_is_in_no_package_json_and_has_its_stand_in(each: Missing) -> None:
    assert all(each.product not in pinned(file) for file in PACKAGES)
    assert (TESTS / each.instead[1]).is_file()


def test_versions_are_pinned_exactly_and_no_lock_file_is_committed() -> None:
    assert PACKAGES
    for file in PACKAGES:
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in pinned(file).values()), file
    wheels = (FOREIGN / "open62541" / "requirements.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", wheel) for wheel in wheels)
    assert not [file for name in LOCK_FILES for file in FOREIGN.glob(f"*/{name}")]
    assert "--no-package-lock" in INSTALL


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
