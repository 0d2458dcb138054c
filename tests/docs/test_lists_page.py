"""The page for owners of lists: its lists are taken as they stand there, and its program signs one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from linewitness.base.clock import from_rfc3339
from linewitness.config.lists.reading import read_listing
from linewitness.stations.lists.book import LIST_NAMES, ListName
from linewitness.stations.lists.options import ListOptions

PAGE = (Path(__file__).parents[2] / "docs" / "lists.md").read_text(encoding="utf-8")
LISTS = dict(zip(LIST_NAMES, re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL), strict=True))
NOW_NS = from_rfc3339("2026-11-23T12:00:00.000Z")


@pytest.mark.parametrize("name", LIST_NAMES)
def test_each_list_of_the_page_is_right(name: ListName) -> None:
    options = ListOptions(file=Path(f"{name}.csv"))
    assert len(read_listing(name, options, LISTS[name].encode(), NOW_NS).entries) == 2


def test_the_program_of_the_page_signs_a_list_that_is_taken(tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "seed").write_bytes(bytes(range(32)))
    (tmp_path / "lots.csv").write_text(LISTS["lots"], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    vkey = done.stdout.split()[1]
    options = ListOptions(file=tmp_path / "signed.csv", signed_by=vkey)
    listing = read_listing("lots", options, (tmp_path / "signed.csv").read_bytes(), NOW_NS)
    assert listing.signer == "acme.example/erp-lots"
    assert len(listing.entries) == 2
