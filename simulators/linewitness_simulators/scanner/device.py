"""What a code reader sends: a function of the codes before it, time and a seed."""

import random
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class ScannerDevice:
    """A reader with its framing, and in automatic mode a unit under it every `period_s` seconds."""

    prefix: bytes = b""
    suffix: bytes = b""
    terminator: bytes = b"\r\n"
    encoding: str = "ascii"
    no_read_text: str = "NOREAD"
    period_s: float | None = None
    first_serial: int = 1
    serial_form: str = "SN{:04d}"
    no_read_share: float = 0.0
    seed: int = 1
    _rng: random.Random = field(init=False, repr=False)
    _shown: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Seed the reader's luck."""
        self._rng = random.Random(self.seed)

    def line(self, text: str) -> bytes:
        """Return the bytes that the reader sends for one code."""
        return self.prefix + text.encode(self.encoding) + self.suffix + self.terminator

    def no_read(self) -> bytes:
        """Return what the reader sends when it could not read."""
        return self.line(self.no_read_text)

    def garbage(self, size: int) -> bytes:
        """Return noise, which may contain anything but a whole terminator."""
        return self._rng.randbytes(size).replace(self.terminator, b"?" * len(self.terminator))

    def due(self, elapsed_s: float) -> list[bytes]:
        """Return what automatic mode has to say until `elapsed_s` and has not said yet."""
        if self.period_s is None:
            return []
        said = []
        while (self._shown + 1) * self.period_s <= elapsed_s:
            serial = self.serial_form.format(self.first_serial + self._shown)
            self._shown += 1
            lucky = self._rng.random() >= self.no_read_share
            said.append(self.line(serial) if lucky else self.no_read())
        return said
