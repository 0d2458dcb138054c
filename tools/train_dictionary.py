"""Train the dictionary that records are stored with, from journals of simulated lines.

    python tools/train_dictionary.py NUMBER JOURNAL… -o src/linewitness/base/compression/records-NUMBER.zdict

The journals are folders that `linewitness demo` and the tests with simulators leave behind: nothing of a real
plant goes into a file that is shipped, and hashes, keys, times and addresses are replaced by others. A
dictionary that was shipped is never made anew: records that were stored with it are read with it.
"""

import argparse
import base64
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import zstandard

from linewitness.base.compression.records import dictionary_id
from linewitness.evidence.format.record import parse
from linewitness.journal.reader import JournalReader

SIZE = 32 * 1024
LEVEL = 1
#: Of each kind so many records at most, so that the frequent kinds do not fill the dictionary alone.
OF_A_KIND = 300
#: What is called otherwise in every plant.
NAMED = re.compile(
    rb'"(?:device_id|station_id|line_id|plant_id|tenant_id|stream|id|display_name)":("[^"\\]{3,}")'
)
#: A changed value has the name of its point where others have a word of ours.
POINT = re.compile(rb'"field":("[^"\\]{3,}")')
DAY = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T)")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def records_of(journals: Iterable[Path]) -> list[bytes]:
    """Return some records of each kind, in an order that depends on the journals alone."""
    kinds: dict[str, list[bytes]] = defaultdict(list)
    for folder in journals:
        with JournalReader(folder) as reader:
            for _, data in reader.records():
                kinds[parse(data)["kind"]].append(data)
    mixed = random.Random(1)  # noqa: S311 (repeatable, and no secret)
    chosen = []
    for kind in sorted(kinds):
        chosen += mixed.sample(kinds[kind], min(OF_A_KIND, len(kinds[kind])))
    return chosen


class Renaming:
    """Replace what no two plants have in common, so that the dictionary holds what they have."""

    def __init__(self, seed: int) -> None:
        """Make the same replacements for the same seed."""
        self._random = random.Random(seed)  # noqa: S311 (repeatable, and no secret)
        self._values: tuple[tuple[re.Pattern[bytes], Callable[[], str]], ...] = (
            (re.compile(rb"[0-9a-f]{64}"), lambda: self._random.randbytes(32).hex()),
            (re.compile(rb"(?<=ed25519:)[A-Za-z0-9+/]{86}=="), lambda: self._base64(64)),
            (re.compile(rb"(?<=\+)[0-9a-f]{8}(?=\+)"), lambda: self._random.randbytes(4).hex()),
            (re.compile(rb"(?<=\+)[A-Za-z0-9+/]{44}(?=\")"), lambda: self._base64(33)),
            (re.compile(rb"(?<=\")[A-Za-z0-9+/]{43}=(?=\")"), lambda: self._base64(32)),
            (re.compile(rb"(?<=\"key_id\":\")[0-9a-f]{8}"), lambda: self._random.randbytes(4).hex()),
            (re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), self._uuid),
            (re.compile(rb"(?<=\")01[0-9A-HJKMNP-TV-Z]{24}(?=\")"), lambda: "01" + self._of(CROCKFORD, 24)),
            (re.compile(rb"(?<=boottime_us\":)[0-9]+"), lambda: str(self._random.randrange(10**8, 10**13))),
            (re.compile(rb"127\.0\.0\.1:[0-9]+"), self._address),
            (re.compile(rb"(?<=_ms\":)[0-9]+"), lambda: str(self._random.randrange(300))),
        )

    def values(self, data: bytes) -> bytes:
        """Replace hashes, keys, days, ids and addresses."""
        year, month, day = (self._random.randint(*span) for span in ((2024, 2039), (1, 12), (1, 28)))
        data = DAY.sub(f"{year}-{month:02}-{day:02}".encode(), data)
        for pattern, make in self._values:
            data = pattern.sub(lambda _, make=make: make().encode(), data)  # type: ignore[misc]
        return data

    def names(self, data: bytes) -> bytes:
        """Replace the names of plants, devices and points as well."""
        found = set(NAMED.findall(data))
        if b'"kind":"parameter.changed"' in data:
            found.update(POINT.findall(data))
        for name in sorted(found, key=len, reverse=True):
            length = max(3, len(name) + self._random.randint(-5, 3))
            data = data.replace(name, f'"{self._of(LETTERS, length)}"'.encode())
        return data

    def _of(self, letters: str, count: int) -> str:
        return "".join(self._random.choices(letters, k=count))

    def _base64(self, size: int) -> str:
        return base64.b64encode(self._random.randbytes(size)).decode()

    def _uuid(self) -> str:
        digits = self._random.randbytes(16).hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _address(self) -> str:
        host, port = self._random.randrange(2**16), self._random.randrange(1024, 2**16)
        return f"192.168.{host >> 8}.{host & 255}:{port}"


def main() -> None:
    """Write the dictionary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("number", type=int)
    parser.add_argument("journals", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    renaming = Renaming(seed=2)
    known = [renaming.values(data) for data in records_of(sorted(arguments.journals))]
    samples: list[bytes | bytearray | memoryview] = [*known]
    samples += [renaming.names(renaming.values(data)) for data in known]
    dictionary = zstandard.train_dictionary(
        SIZE, samples, level=LEVEL, dict_id=dictionary_id(arguments.number)
    )
    with arguments.output.open("xb") as file:
        file.write(dictionary.as_bytes())
    print(f"{arguments.output}: {len(dictionary)} bytes from {len(samples)} records")  # noqa: T201


if __name__ == "__main__":
    main()
