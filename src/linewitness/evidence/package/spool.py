"""The records that were chosen for a package: on disk, so that memory holds no more than where they are."""

from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final, Self, overload

_IN_MEMORY: Final = 1 << 24
#: A record has at most 65 535 bytes, so its length fits below its place in the file.
_LENGTH_BITS: Final = 17


class RecordSpool(Sequence[tuple[int, bytes]]):
    """Records as (sequence_no, exact bytes), rising, in whatever order they were added."""

    def __init__(self) -> None:
        """Begin with none."""
        self._file = SpooledTemporaryFile[bytes](_IN_MEMORY)
        self._places: dict[int, int] = {}
        self._order: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, number: int, data: bytes) -> None:
        """Take a record; one that is there already is passed over."""
        if number not in self._places:
            self._places[number] = self._file.seek(0, 2) << _LENGTH_BITS | len(data)
            self._file.write(data)

    @property
    def numbers(self) -> list[int]:
        """The records' sequence numbers, rising."""
        if len(self._order) != len(self._places):
            self._order = sorted(self._places)
        return self._order

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for number in self.numbers:
            yield number, self._read(number)

    @overload
    def __getitem__(self, index: int) -> tuple[int, bytes]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, bytes]]: ...

    def __getitem__(self, index: int | slice) -> tuple[int, bytes] | list[tuple[int, bytes]]:
        if isinstance(index, slice):
            return [(number, self._read(number)) for number in self.numbers[index]]
        number = self.numbers[index]
        return number, self._read(number)

    def _read(self, number: int) -> bytes:
        place = self._places[number]
        self._file.seek(place >> _LENGTH_BITS)
        return self._file.read(place & (1 << _LENGTH_BITS) - 1)
