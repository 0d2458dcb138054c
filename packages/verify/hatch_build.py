"""Build `linewitness-verify` from the sources of `linewitness`, under an import name of its own.

Two distributions that own the same files break each other when one of them is removed, so `linewitness` in
the import lines becomes `linewitness_verify` (docs/decisions/0016).
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "linewitness_verify"
#: What is taken over from src/linewitness: what an auditor needs, and nothing of a gateway.
PARTS = ("base/__init__.py", "base/errors.py", "anchors/__init__.py", "anchors/signatures.py", "evidence")
#: What is written anew.
WRITTEN = {
    "__init__.py": '"""The verifier of Linewitness, for auditors."""\n',
    "__main__.py": '"""Run it."""\n\nfrom linewitness_verify.command import main\n\nmain()\n',
}
#: Import lines, and the name of the package that holds verify.html.
_IMPORTED = re.compile(r'^(\s*from |\s*import |.*\bfiles\(")linewitness(?=[. "])', re.MULTILINE)


class TakeSources(BuildHookInterface):
    """Put the renamed sources into wheel and sdist; an sdist brings its own."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (the interface)
        """Tell the builder where the package is."""
        root = Path(self.root)
        package = root / NAME
        if not package.is_dir():
            self._folder = Path(tempfile.mkdtemp(prefix=NAME))
            package = self._folder / NAME
            take(root, package)
        build_data["force_include"][str(package)] = NAME

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was made for the build."""
        if hasattr(self, "_folder"):
            shutil.rmtree(self._folder)


def take(root: Path, package: Path) -> None:
    """Write the package's files, renamed, from the repository around `root`."""
    source = root.parents[1] / "src" / "linewitness"
    for part in PARTS:
        found = source / part
        for path in sorted(found.rglob("*")) if found.is_dir() else [found]:
            if path.is_file() and path.suffix in (".py", ".html"):
                _write(path, package / path.relative_to(source))
    _write(root / "command.py", package / "command.py")
    for name, text in WRITTEN.items():
        (package / name).write_text(text, encoding="utf-8")


def _write(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text(encoding="utf-8")
    target.write_text(_IMPORTED.sub(rf"\1{NAME}", text) if source.suffix == ".py" else text, encoding="utf-8")
