"""Take from this process what lets it write: root's right to every file, or the file system's."""

import ctypes
import os
from pathlib import Path
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
_CAPABILITIES_V3: Final = 0x2008_0522
_MS_RDONLY: Final = 1
_MS_REMOUNT: Final = 32
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_PRIVATE: Final = 1 << 18
_CLONE_NEWNS: Final = 0x0002_0000
_CLONE_NEWUSER: Final = 0x1000_0000
#: The exit code of a process that could not be put into this state.
CANNOT: Final = 99


def forget_root() -> None:
    """Give up all capabilities of this process, so that modes of files bind it like anybody."""
    if os.geteuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    _require(_libc.capset(header, (ctypes.c_uint32 * 6)()))


def make_read_only(folder: Path) -> None:
    """Let this process, and nobody else, see a folder as a file system that is mounted read-only."""
    if _libc.unshare(_CLONE_NEWNS) != 0:
        _require(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER))
    place = os.fsencode(folder)
    _require(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
    _require(_libc.mount(place, place, None, _MS_BIND, None))
    _require(_libc.mount(None, place, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY, None))


def _require(result: int) -> None:
    if result != 0:
        os._exit(CANNOT)
