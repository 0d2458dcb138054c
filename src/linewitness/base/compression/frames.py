"""Put a message into one zstd frame that states its size, and unpack no more than is stated and allowed."""

from typing import Final

import zstandard

#: What every zstd frame begins with (RFC 8878, section 3.1.1). A record begins with a brace.
MAGIC: Final = zstandard.FRAME_HEADER
_LEVEL: Final = 1
#: A frame that needs more memory than this to be unpacked is refused.
_MAX_WINDOW: Final = 16 * 2**20


class BadFrame(ValueError):
    """The bytes are not one whole zstd frame that states its size, or it states more than is allowed."""


def is_frame(data: bytes) -> bool:
    """Return whether the data are, by their first four bytes, a zstd frame."""
    return data.startswith(MAGIC)


def pack(content: bytes) -> bytes:
    """Return a frame with this content, of at least one byte."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(content)


def stated_size(frame: bytes) -> int:
    """Return how many bytes a frame says that it holds; BadFrame where it does not say so.

    Nothing is unpacked. A frame of nothing is a bad one.
    """
    try:
        size = zstandard.frame_content_size(frame)
    except zstandard.ZstdError as error:
        raise BadFrame(str(error)) from None
    if size < 1:
        raise BadFrame("the frame does not state the size of its content")
    return size


def unpack(frame: bytes, most: int) -> bytes:
    """Return the content of a frame of `most` bytes at most; BadFrame, with nothing unpacked, if it has more.

    A frame that is cut, or followed by anything, is a bad one, and so is one that holds more or less than it
    states.
    """
    if (size := stated_size(frame)) > most:
        raise BadFrame(f"the frame states {size} bytes of content, {most} are allowed")
    try:
        context = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        return context.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BadFrame(str(error)) from None
