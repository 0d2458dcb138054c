"""Store a record as a zstd frame made with a dictionary of this package, and read it back byte for byte."""

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Final

import zstandard

from linewitness.base.compression.frames import MAGIC

#: The number of the dictionary that new records are stored with. Older ones stay: their records do, too.
NEWEST: Final = 1
#: The largest record. A frame that states more is none of ours.
_MOST: Final = 64 * 1024
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
    """Return the exact bytes of a record; one that an earlier version stored as it is is returned so.

    So is what cannot be unpacked: it is no record, and whoever reads it finds that out as with any other
    damage.
    """
    if not stored.startswith(MAGIC):
        return stored
    try:
        frame = zstandard.get_frame_parameters(stored)
        if frame.content_size > _MOST:
            return stored
        return _decompressors()[frame.dict_id].decompress(stored, allow_extra_data=False)
    except (zstandard.ZstdError, KeyError):
        return stored


def unpack_rows(rows: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield (sequence number, exact bytes) of records as they are stored."""
    return ((sequence_no, unpack_record(stored)) for sequence_no, stored in rows)


def _compressor() -> zstandard.ZstdCompressor:
    try:
        found: zstandard.ZstdCompressor = _contexts.compressor
    except AttributeError:
        found = zstandard.ZstdCompressor(level=_LEVEL, dict_data=_for_packing())
        _contexts.compressor = found
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
