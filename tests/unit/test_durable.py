"""New files and folders: whole and durable, or not there at all."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from linewitness.base import durable


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the paths that were synchronised, in order."""
    paths, fsync = [], os.fsync

    def noted(handle: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


def test_a_file_is_synchronised_before_its_name(tmp_path: Path, synced: list[Any]) -> None:
    durable.create_file(tmp_path / "key", b"secret", mode=0o600)
    assert synced == [str(tmp_path / "key"), str(tmp_path)]
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        durable.create_file(tmp_path / "key", b"new", mode=0o600)
    assert (tmp_path / "key").read_bytes() == b"old"


def test_a_disk_that_is_full_leaves_no_half_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            durable.create_file(tmp_path / "key", b"secret", mode=0o600)
    assert list(tmp_path.iterdir()) == []
    durable.create_file(tmp_path / "key", b"secret", mode=0o600)


def test_the_names_of_all_new_folders_are_durable(tmp_path: Path, synced: list[Any]) -> None:
    durable.make_folder(tmp_path / "a" / "b" / "c", mode=0o700)
    assert set(synced) == {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")}


def test_a_folder_that_was_there_may_have_been_made_a_moment_ago(tmp_path: Path, synced: list[Any]) -> None:
    durable.make_folder(tmp_path, mode=0o700)
    assert synced == [str(tmp_path.parent)]
