"""Read and write a zip as a whole, for tests that look at a package or alter it."""

import zipfile
from collections.abc import Mapping
from pathlib import Path


def unzipped(path: Path) -> dict[str, bytes]:
    """Return the members of a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, files: Mapping[str, bytes | None]) -> Path:
    """Write a zip of these members, and leave those out that are None."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr(name, data)
    return path
