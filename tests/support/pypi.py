"""Servers from PyPI that only tests need: pinned in a requirements.txt, installed once per checkout."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

#: pytest ends a test after five minutes; installing must end before that and say why.
INSTALL_S = 200


def installed(folder: Path) -> Path:
    """Make sure that a folder's packages are there in their pinned versions, and return where they are.

    Fails the test with pip's own words where they cannot be installed.
    """
    pinned = folder / "requirements.txt"
    packages = folder / ".packages"
    stamp = packages / "installed.txt"
    with pinned.open(encoding="utf-8") as wanted:
        # Another test process may be installing the same packages just now.
        fcntl.flock(wanted, fcntl.LOCK_EX)
        text = f"{wanted.read()}Python {sys.version}\n"
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != text:
            _install(pinned, packages)
            stamp.write_text(text, encoding="utf-8")
    return packages


def _install(pinned: Path, packages: Path) -> None:
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    try:
        done = subprocess.run(
            (*command, "--upgrade", "--target", str(packages), "--requirement", str(pinned)),
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"pip did not install {pinned.parent.name} within {INSTALL_S} s")
    if done.returncode != 0:
        pytest.fail(f"pip could not install {pinned.parent.name}: {done.stderr.strip()}")
