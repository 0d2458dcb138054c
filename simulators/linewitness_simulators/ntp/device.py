"""What an NTP server answers: a function of the question, the time and its faults."""

import random
import struct
from dataclasses import dataclass, field
from typing import Final

NTP_EPOCH_S: Final = -2_208_988_800
_PACKET: Final = struct.Struct("!BBbbIIIQQQQ")


@dataclass(kw_only=True)
class NtpDevice:
    """A server and what is wrong with it; everything may be changed while it runs."""

    offset_s: float = 0.0
    stratum: int = 2
    leap: int = 0
    mode: int = 4
    precision: int = -20
    root_delay_s: float = 0.002
    root_dispersion_s: float = 0.001
    reference: bytes = b"\x7f\x7f\x01\x02"
    kiss: str | None = None
    wrong_origin: bool = False
    loss: float = 0.0
    delay_in_s: float = 0.0
    delay_out_s: float = 0.0
    seed: int = 1
    asked: int = 0
    _rng: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Seed what gets lost."""
        self._rng = random.Random(self.seed)

    def answer(self, question: bytes, utc_ns: int) -> bytes | None:
        """Return the answer to a question that arrives at `utc_ns` of true time, or None if it gets lost."""
        if len(question) < _PACKET.size:
            return None
        self.asked += 1
        if self._rng.random() < self.loss:
            return None
        now = timestamp(utc_ns + round(self.offset_s * 1e9))
        origin = int.from_bytes(question[40:48], "big") ^ (0xFFFF if self.wrong_origin else 0)
        return _PACKET.pack(
            self.leap << 6 | 4 << 3 | self.mode,
            0 if self.kiss else self.stratum,
            6,
            self.precision,
            round(self.root_delay_s * 65_536),
            round(self.root_dispersion_s * 65_536),
            int.from_bytes(self.kiss.encode("ascii") if self.kiss else self.reference, "big"),
            now - (16 << 32),
            origin,
            now,
            now,
        )


def timestamp(utc_ns: int) -> int:
    """Return Unix nanoseconds as a 64-bit NTP timestamp of its era."""
    seconds, rest = divmod(utc_ns, 1_000_000_000)
    return ((seconds - NTP_EPOCH_S) % (1 << 32)) << 32 | (rest << 32) // 1_000_000_000
