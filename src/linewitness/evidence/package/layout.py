"""The one layout of a package's zip file, byte by byte: what may be read in two ways is refused.

docs/format.md, section 11.3.1. Zip has a directory at its end and a header before each file, and readers
differ in which they believe. Here both say the same, nothing lies between, and sizes and sums are right.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from linewitness.base.errors import EvidenceError

STORED: Final = 0
DEFLATED: Final = 8

_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_ENTRY: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_LOCATOR: Final = struct.Struct("<4sIQI")
_LARGE_END: Final = struct.Struct("<4sQHHIIQQQQ")
_EXTRA: Final = struct.Struct("<HH")
_LARGE: Final = 0xFFFFFFFF
_MANY: Final = 0xFFFF
#: The id of the extra field with sizes beyond 32 bits.
_ZIP64: Final = 1
_DIRECTORY: Final = 0x10
_TYPES: Final = (0, 0o100000)
_BLOCK: Final = 1 << 18


class BadLayout(EvidenceError):
    """A file is not a zip file of the one layout."""


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One file of the package: where its packed bytes begin, and what they must unpack to."""

    name: str
    deflated: bool
    crc: int
    packed: int
    size: int
    begin: int


def read_layout(file: IO[bytes], *, most: int) -> list[PackedFile]:
    """Return the files of a package in their order, `most` at most; BadLayout names what is wrong."""
    length = file.seek(0, 2)
    count, first, end = _end_of(file, length)
    if count > most:
        raise BadLayout(f"the package has {count} files, more than {most}")
    if not 0 <= first <= end or end - first < count * _ENTRY.size:
        raise BadLayout("the package's table of contents is not where it should be")
    file.seek(first)
    directory = file.read(end - first)
    files: list[PackedFile] = []
    at = data_end = 0
    for _ in range(count):
        found, header, at = _entry(directory, at)
        if header != data_end:
            raise BadLayout(f"before {found.name} lies something that is no file of the package")
        found = _local(file, found, header, first)
        files.append(found)
        data_end = found.begin + found.packed
    if at != len(directory) or data_end != first:
        raise BadLayout("the package holds bytes that belong to no file")
    return files


def unpacked(file: IO[bytes], member: PackedFile) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks; BadLayout where they are not what the headers say."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.deflated else None
    at, end = member.begin, member.begin + member.packed
    size = crc = 0
    while at < end:
        file.seek(at)
        packed = file.read(min(_BLOCK, end - at))
        if not packed:
            raise BadLayout(f"{member.name} is cut off")
        at += len(packed)
        for block in _blocks(member, inflate, packed):
            size, crc = size + len(block), zlib.crc32(block, crc)
            if size > member.size:
                raise _other(member)
            yield block
    whole = inflate is None or (inflate.eof and not inflate.unused_data)
    if (size, crc) != (member.size, member.crc) or not whole:
        raise _other(member)


def _blocks(member: PackedFile, inflate: "zlib._Decompress | None", packed: bytes) -> Iterator[bytes]:
    if inflate is None:
        yield packed
        return
    try:
        while block := inflate.decompress(packed, _BLOCK):
            yield block
            packed = inflate.unconsumed_tail
    except zlib.error:
        raise _other(member) from None


def _other(member: PackedFile) -> BadLayout:
    return BadLayout(f"{member.name} does not unpack to what its header says")


def _end_of(file: IO[bytes], length: int) -> tuple[int, int, int]:
    """Return the number of entries, and where the directory begins and ends."""
    at = length - _END.size
    mark, disk, start_disk, here, count, size, first, comment = _read(file, _END, at)
    if mark != b"PK\5\6" or disk or start_disk or here != count or comment:
        raise BadLayout("the package does not end as a zip file of one part without a comment does")
    locator = _read(file, _LOCATOR, at - _LOCATOR.size) if at >= _LOCATOR.size else (b"", 0, 0, 0)
    if locator[0] != b"PK\6\7":
        _require(first + size == at)
        return count, first, at
    large = at - _LOCATOR.size - _LARGE_END.size
    _require(locator[1:] == (0, large, 1) and large >= 0)
    mark, rest, _, _, disk, start_disk, here, many, wide, far = _read(file, _LARGE_END, large)
    _require(mark == b"PK\6\6" and rest == _LARGE_END.size - 12 and not disk and not start_disk)
    _require(here == many and far + wide == large)
    _require((count, size, first) == (min(many, _MANY), min(wide, _LARGE), min(far, _LARGE)))
    return many, far, large


def _entry(directory: bytes, at: int) -> tuple[PackedFile, int, int]:
    """Return a file as the directory says, where its header is, and where the next entry begins."""
    if len(directory) - at < _ENTRY.size:
        raise BadLayout("the package's table of contents is damaged")
    entry = _ENTRY.unpack_from(directory, at)
    mark, _, _, flags, method, _, _, crc, packed, size, named, extra, comment, disk, _, kind, header = entry
    begin = at + _ENTRY.size
    raw = directory[begin : begin + named]
    name = raw.decode("ascii", "replace")
    if mark != b"PK\1\2" or len(raw) != named or comment or disk:
        raise BadLayout("the package's table of contents is damaged")
    if flags or method not in (STORED, DEFLATED):
        raise BadLayout(f"{name} is encrypted or compressed in an unusual way")
    if kind >> 16 & 0o170000 not in _TYPES or kind & _DIRECTORY:
        raise BadLayout(f"{name} is not a plain file")
    field = directory[begin + named : begin + named + extra]
    size, packed, header = _larger(name, field, size, packed, header)
    found = PackedFile(name, method == DEFLATED, crc, packed, size, 0)
    return found, header, begin + named + extra


def _local(file: IO[bytes], entry: PackedFile, header: int, end: int) -> PackedFile:
    """Return the file with its place, where its own header says the same as the directory."""
    if header + _LOCAL.size > end:
        raise BadLayout(f"{entry.name} is not where the table of contents says")
    mark, _, flags, method, _, _, crc, packed, size, named, extra = _read(file, _LOCAL, header)
    name, field = file.read(named), file.read(extra)
    size, packed, _ = _larger(entry.name, field, size, packed, 0)
    begin = header + _LOCAL.size + named + extra
    same = (mark, flags, method == DEFLATED, crc, packed, size, name) == (
        b"PK\3\4",
        0,
        entry.deflated,
        entry.crc,
        entry.packed,
        entry.size,
        entry.name.encode(),
    )
    if not same or method not in (STORED, DEFLATED) or begin + packed > end:
        raise BadLayout(f"{entry.name} is another file by its own header than by the table of contents")
    if not entry.deflated and packed != size:
        raise _other(entry)
    return PackedFile(entry.name, entry.deflated, crc, packed, size, begin)


def _larger(name: str, field: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Return the numbers with those that the extra field holds, which holds these and nothing else."""
    wanted = [value == _LARGE for value in (size, packed, header)]
    if not any(wanted):
        if field:
            raise BadLayout(f"{name} has fields that do not belong into a package")
        return size, packed, header
    if len(field) != _EXTRA.size + 8 * sum(wanted) or _EXTRA.unpack_from(field) != (_ZIP64, 8 * sum(wanted)):
        raise BadLayout(f"{name} has fields that do not belong into a package")
    numbers = iter(struct.unpack_from(f"<{sum(wanted)}Q", field, _EXTRA.size))
    size, packed, header = (
        next(numbers) if large else value for large, value in zip(wanted, (size, packed, header), strict=True)
    )
    return size, packed, header


def _read(file: IO[bytes], form: struct.Struct, at: int) -> tuple[Any, ...]:
    if at < 0:
        raise BadLayout("the package is too short to be a zip file")
    file.seek(at)
    data = file.read(form.size)
    if len(data) < form.size:
        raise BadLayout("the package is cut off")
    return form.unpack(data)


def _require(holds: bool) -> None:
    if not holds:
        raise BadLayout("the end of the package does not say where its table of contents is")
