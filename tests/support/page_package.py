"""The package that the page "Write a driver" builds, made from the page's code blocks."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "drivers" / "write-a-driver.md"
FILE = re.compile(r"^`([\w./-]+)`:\n\n(`{3,})\w+\n(.*?)^\2$", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """Return the files of the page, by path."""
    return {path: text for path, _, text in FILE.findall(PAGE.read_text(encoding="utf-8"))}


def install(folder: Path, *edits: tuple[str, str, str]) -> None:
    """Write the package as if it were installed, with its entry point; `edits` are (file, before, after)."""
    made = files()
    for path, before, after in edits:
        assert before in made[path], f"the page has no {before!r} in {path}"
        made[path] = made[path].replace(before, after)
    for path, text in made.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    project = tomllib.loads(made["pyproject.toml"])["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    name = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(name)
    points = project["entry-points"]["linewitness.drivers"]
    lines = [f"{driver} = {reference}" for driver, reference in points.items()]
    (info / "entry_points.txt").write_text("[linewitness.drivers]\n" + "\n".join(lines) + "\n")
