"""`linewitness verifier`: the page for auditors, and its published hash."""

import hashlib
from pathlib import Path

from linewitness.base.errors import ConfigurationError
from support.browser_verifier import PAGE
from support.lines import call

README = Path(__file__).parents[2] / "README.md"
HASH = hashlib.sha256(PAGE.read_bytes()).hexdigest()


def test_it_writes_the_page_and_prints_its_hash(tmp_path: Path) -> None:
    said = call("verifier", "-o", tmp_path / "verify.html")
    assert (said.exit_code, said.output.split()[0]) == (0, HASH)
    assert (tmp_path / "verify.html").read_bytes() == PAGE.read_bytes()
    assert call("verifier").output.split() == [HASH, "verify.html"]


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("mine")
    assert isinstance(call("verifier", "-o", tmp_path / "mine.html").exception, ConfigurationError)
    assert (tmp_path / "mine.html").read_text() == "mine"
    refused = call("verifier", "-o", tmp_path / "no" / "page.html").exception
    assert "cannot be written" in str(refused)


def test_the_readme_states_the_hash_of_the_page() -> None:
    assert HASH in README.read_text(encoding="utf-8"), "the page changed: write its SHA-256 into README.md"
