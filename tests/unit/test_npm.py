"""Servers from npm: pinned, installed once, and a failure with its reason where they cannot be."""

import json
import os
import re
from pathlib import Path

import pytest

from support import npm

TESTS = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in TESTS.glob("*/*/package.json"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {"thing": "1.2.3"}}))
    return tmp_path


def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put an npm of our own before the real one."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (place / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}/usr/bin{os.pathsep}/bin")


INSTALLING = """
echo once >> count
mkdir -p node_modules/thing
echo '{"version": "1.2.3"}' > node_modules/thing/package.json
echo '{}' > node_modules/.package-lock.json
"""


def test_a_failing_npm_fails_the_test_with_its_words(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "echo no route to the registry >&2; exit 1")
    with pytest.raises(pytest.fail.Exception, match="no route to the registry"):
        npm.installed(folder)


def test_a_missing_npm_fails_the_test_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(pytest.fail.Exception, match="npm is not there"):
        npm.installed(folder)


def test_another_version_than_the_pinned_one_fails_the_test(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, INSTALLING.replace("1.2.3", "1.2.4"))
    with pytest.raises(pytest.fail.Exception, match=r"1\.2\.4"):
        npm.installed(folder)


def test_packages_are_installed_once_and_an_interrupted_installation_is_done_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, INSTALLING)
    for _ in range(3):
        npm.installed(folder)
    assert (folder / "count").read_text().split() == ["once"]
    (folder / "node_modules" / ".package-lock.json").unlink()
    npm.installed(folder)
    assert (folder / "count").read_text().split() == ["once"] * 2


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_versions_are_pinned_without_lock_files_or_addresses(folder: Path) -> None:
    text = (folder / "package.json").read_text(encoding="utf-8")
    assert all(re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", v) for v in json.loads(text)["dependencies"].values())
    assert "://" not in text
    assert not [path.name for path in folder.iterdir() if path.name in ("package-lock.json", ".npmrc")]
    assert "node_modules/" in (TESTS.parent / ".gitignore").read_text(encoding="utf-8").split()
