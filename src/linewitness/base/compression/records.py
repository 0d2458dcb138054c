"""Store records as zstd frames made with a dictionary of this package, and read them back byte for byte.

Records that are kept and given up together are packed as a run, in one frame; any other by itself.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Final

import zstandard

from linewitness.base.compression.frames import MAGIC, BadFrame

#: The number of the dictionary that new records are stored with. Older ones stay: their records do, too.
NEWEST: Final = 1
#: What a store calls a run that is packed with the newest dictionary.
RUN_CODEC: Final = f"zstd, records-{NEWEST}"
#: The largest record.
_MOST: Final = 64 * 1024
#: The most bytes that a journal packs into one run. A frame that states more is none of ours.
MOST_IN_RUN: Final = 4 * _MOST
#: Its number is a dictionary's id in the frame, beyond the ids that RFC 8878 (section 6.2) reserves.
_FIRST_ID: Final = 32_768
_LEVEL: Final = 1
#: What a thread packs and unpacks with: zstd's contexts serve one thread at a time.
_contexts: Final = threading.local()


def dictionary_id(number: int) -> int:
    """Return what frames call the dictionary of this number."""
    return _FIRST_ID + number


def pack_record(record: bytes) -> bytes:
    """Return what is stored of a record: a frame that names its dictionary."""
    return _compressor().compress(record)


def record_packer() -> Callable[[bytes], bytes]:
    """Return `pack_record` for many records in a row, in this thread."""
    pack: Callable[[bytes], bytes] = _compressor().compress
    return pack


def unpack_record(stored: bytes) -> bytes:
    """Return the exact bytes of a record, or of a run with a line each.

    One that an earlier version stored as it is is returned so. So is what cannot be unpacked: it is no
    record, and whoever reads it finds that out as with any other damage.
    """
    if not stored.startswith(MAGIC):
        return stored
    try:
        frame = zstandard.get_frame_parameters(stored)
        if frame.content_size > MOST_IN_RUN:
            return stored
        return _decompressors()[frame.dict_id].decompress(stored, allow_extra_data=False)
    except (zstandard.ZstdError, KeyError):
        return stored


def pack_run(records: Sequence[bytes]) -> bytes:
    """Return a frame with consecutive records, a line each, and a checksum over them."""
    return _run_compressor().compress(b"\n".join(records))


def unpack_run(packed: bytes, count: int) -> list[bytes]:
    """Return the exact bytes of the `count` records of a run; BadFrame where it is not whole and sound."""
    try:
        frame = zstandard.get_frame_parameters(packed)
        if not 0 < frame.content_size <= count * (_MOST + 1):
            raise BadFrame(f"the frame states {frame.content_size} bytes for {count} records")
        lines = _decompressors()[frame.dict_id].decompress(packed, allow_extra_data=False).split(b"\n")
    except KeyError:
        raise BadFrame("the frame names a dictionary that this version does not have") from None
    except zstandard.ZstdError as error:
        raise BadFrame(str(error)) from None
    if len(lines) != count:
        raise BadFrame(f"the frame has {len(lines)} lines for {count} records")
    return lines


def unpack_rows(rows: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield (sequence number, exact bytes) of the records in rows, each of which begins with such a number.

    What cannot be unpacked is one record, as `unpack_record` returns it.
    """
    for first, stored in rows:
        yield from enumerate(_lines(stored), first)


def _lines(stored: bytes) -> list[bytes]:
    data = unpack_record(stored)
    # Canonical form has no line feed in it, damage may.
    return [data] if data is stored and data.startswith(MAGIC) else data.split(b"\n")


def _compressor() -> zstandard.ZstdCompressor:
    try:
        found: zstandard.ZstdCompressor = _contexts.compressor
    except AttributeError:
        found = zstandard.ZstdCompressor(level=_LEVEL, dict_data=_for_packing())
        _contexts.compressor = found
    return found


def _run_compressor() -> zstandard.ZstdCompressor:
    try:
        found: zstandard.ZstdCompressor = _contexts.run_compressor
    except AttributeError:
        found = zstandard.ZstdCompressor(level=_LEVEL, dict_data=_for_packing(), write_checksum=True)
        _contexts.run_compressor = found
    return found


def _decompressors() -> dict[int, zstandard.ZstdDecompressor]:
    try:
        found: dict[int, zstandard.ZstdDecompressor] = _contexts.decompressors
    except AttributeError:
        found = {
            dictionary_id(number): zstandard.ZstdDecompressor(dict_data=_dictionary(number))
            for number in range(1, NEWEST + 1)
        }
        _contexts.decompressors = found
    return found


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    file = resources.files("linewitness.base.compression").joinpath(f"records-{number}.zdict")
    return zstandard.ZstdCompressionDict(file.read_bytes(), dict_type=zstandard.DICT_TYPE_FULLDICT)


@cache
def _for_packing() -> zstandard.ZstdCompressionDict:
    dictionary = _dictionary(NEWEST)
    dictionary.precompute_compress(level=_LEVEL)
    return dictionary
