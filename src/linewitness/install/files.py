"""Write files where a system expects them, below a root, and never over somebody's changes."""

import os
from pathlib import Path

from linewitness.base.errors import ConfigurationError


class InstallRoot:
    """A system's file tree: the machine's own, or a folder that stands for it."""

    def __init__(self, root: Path) -> None:
        """Take the folder that stands for `/`."""
        self._root = root
        self.changes: list[str] = []

    @property
    def real(self) -> bool:
        """Return whether this is the machine's own tree."""
        return self._root == Path("/")

    def at(self, path: str | Path) -> Path:
        """Return where an absolute path lies below the root."""
        return self._root / Path(path).relative_to("/")

    def folder(self, path: str, mode: int) -> None:
        """Make a folder if it is not there."""
        folder = self.at(path)
        if folder.is_dir():
            return
        with _explained(folder):
            folder.mkdir(parents=True)
            folder.chmod(mode)
        self._report("made", path)

    def write(self, path: str, text: str, *, ours: bool) -> None:
        """Write a file; one that is there with another content is replaced only if it is `ours`."""
        file = self.at(path)
        before = file.read_text(encoding="utf-8") if file.exists() else None
        if before == text:
            return
        if before is not None and not ours:
            raise ConfigurationError(
                f"{file} is there already and differs", hint="nothing was overwritten: compare the two files"
            )
        new = file.with_name(file.name + ".new")
        with _explained(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(text, encoding="utf-8")
            new.chmod(0o644)
            new.replace(file)
        self._report("wrote" if before is None else "renewed", path)

    def remove(self, path: str) -> None:
        """Remove one file that we wrote, and its folder if that is empty then."""
        file = self.at(path)
        if not file.exists():
            return
        with _explained(file):
            file.unlink()
            if file.parent.name.endswith(".d") and not any(file.parent.iterdir()):
                file.parent.rmdir()
        self._report("removed", path)

    def _report(self, what: str, path: str) -> None:
        self.changes.append(f"{what:<8} {self.at(path)}")


class _explained:  # noqa: N801 (reads as a word)
    """Turn a refusal of the system into an error that says who may do it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate."""
        if isinstance(error, OSError):
            hint = "installing needs root: sudo" if os.geteuid() else "check the file system"
            raise ConfigurationError(f"{self._path}: {error.strerror}", hint=hint) from error
