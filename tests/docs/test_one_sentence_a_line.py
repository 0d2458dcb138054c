"""The Markdown sources have one sentence a line, so that a change of one sentence is a change of one line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "drivers").glob("*.md")])
#: Fenced and generated parts, which have lines of their own kind.
OTHER = re.compile(r"^ *```.*?^ *```|<!-- generated .*?begin -->.*?end -->", re.MULTILINE | re.DOTALL)
#: What begins a line and is no sentence: a list's mark, and a title in bold.
BEGINNING = re.compile(r"^ *([-*] |\d+\. )?(\*\*[^*]+\*\* ?)?")
ANOTHER = re.compile(r"[.!?][)\"]? +[A-Z]")


def lines_with_more(text: str) -> Iterator[str]:
    """Yield each line of prose with more than one sentence; tables, headings and code blocks are none."""
    for line in OTHER.sub("", text).splitlines():
        if line.lstrip().startswith(("|", "#")) or line.startswith("    "):
            continue
        prose = re.sub(r"`[^`]*`", "code", BEGINNING.sub("", line))
        if ANOTHER.search(prose):
            yield line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_sentence_has_a_line(page: Path) -> None:
    assert not list(lines_with_more(page.read_text(encoding="utf-8")))


def test_two_sentences_on_a_line_are_found() -> None:
    assert list(lines_with_more("- **Title.** One sentence. Another one.\n")) != []
    assert list(lines_with_more("1. One sentence, `with. Code` in it.\n   Another one.\n")) == []
