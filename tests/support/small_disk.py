"""A file system of few megabytes, which a test fills and gives room again; needs root."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class SmallDisk:
    """A mounted file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def ballast(self) -> Path:
        """What fills it."""
        return self.folder / "ballast"

    def fill(self, *, leave: int = 0) -> None:
        """Leave so many bytes, or not a single one."""
        with self.ballast.open("ab", buffering=0) as ballast:
            for size in (65_536, 4096):
                with suppress(OSError):
                    while not leave or shutil.disk_usage(self.folder).free > leave:
                        ballast.write(b"\0" * size)

    def free(self) -> None:
        """Give all of it back."""
        self.ballast.unlink()

    def resize(self, size: str) -> None:
        """Give it another size, such as 64m."""
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount one on a new folder; where none can be mounted, the test fails."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
