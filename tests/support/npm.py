"""Servers from npm that we did not write: pinned in a package.json, installed once per checkout."""

import fcntl
import json
import subprocess
from pathlib import Path

import pytest

INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund")
#: pytest ends a test after two minutes; installing must end before that and say why.
INSTALL_S = 100


def installed(folder: Path) -> Path:
    """Make sure that a folder's packages are there in their pinned versions, and return the folder.

    Fails the test with npm's own words where they cannot be installed.
    """
    with (folder / "package.json").open() as wanted:
        # Another test process may be installing the same packages just now.
        fcntl.flock(wanted, fcntl.LOCK_EX)
        pinned = json.load(wanted)["dependencies"]
        if _versions(folder, pinned) != pinned:
            _install(folder)
        found = _versions(folder, pinned)
    if found != pinned:
        pytest.fail(f"npm installed {found} in {folder.name}, and package.json pins {pinned}")
    return folder


def _install(folder: Path) -> None:
    try:
        done = subprocess.run(
            INSTALL, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except FileNotFoundError:
        pytest.fail("npm is not there: install the Debian packages nodejs and npm")
    except subprocess.TimeoutExpired:
        pytest.fail(f"npm did not install the packages of {folder.name} within {INSTALL_S} s")
    if done.returncode != 0:
        pytest.fail(f"npm could not install the packages of {folder.name}: {done.stderr.strip()}")


def _versions(folder: Path, names: dict[str, str]) -> dict[str, str]:
    """Return what is installed; nothing where an installation was cut short."""
    modules = folder / "node_modules"
    if not (modules / ".package-lock.json").exists():  # npm writes it last
        return {}
    return {
        name: json.loads((modules / name / "package.json").read_text(encoding="utf-8"))["version"]
        for name in names
        if (modules / name / "package.json").exists()
    }
