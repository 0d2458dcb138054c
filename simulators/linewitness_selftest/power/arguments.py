"""Read the arguments of a call as strace writes them: descriptors with their paths, data in hexadecimal."""

import re
from typing import Final

_DESCRIPTOR: Final = re.compile(r"(\d+|AT_FDCWD)(?:<([^>]*)>)?")


def _descriptor(argument: str) -> tuple[str, str]:
    found = _DESCRIPTOR.match(argument)
    if found is None:
        raise ValueError(f"no descriptor: {argument[:80]}")
    return found[1], found[2] or ""


def number_of(argument: str) -> int:
    """Return the number of a descriptor; -1 for the folder that the process works in."""
    number, _ = _descriptor(argument)
    return int(number) if number.isdecimal() else -1


def path_of(argument: str) -> str:
    """Return the path that strace gives for a descriptor."""
    return bytes.fromhex(_descriptor(argument)[1].replace("\\x", "")).decode(errors="surrogateescape")


def bytes_of(argument: str) -> bytes:
    """Return the data of an argument; ValueError where strace shortened them."""
    if argument.endswith("..."):
        raise ValueError("data were cut off")
    return bytes.fromhex(argument.strip('"').replace("\\x", ""))


def text_of(argument: str) -> str:
    """Return the text of an argument."""
    return bytes_of(argument).decode(errors="surrogateescape")
