"""Read the few values that clients send."""

from linewitness_simulators.torque.session import RequestRefused

INVALID_DATA = 1


def number_at(data: bytes, start: int, width: int) -> int:
    """Return the number in these bytes of the data field; refused as invalid where there is none."""
    text = data[start : start + width]
    if len(text) != width or not text.isdigit():
        raise RequestRefused(INVALID_DATA)
    return int(text)


def text_of(data: bytes) -> str:
    """Return text without padding."""
    return data.decode("utf-8", errors="replace").strip()
