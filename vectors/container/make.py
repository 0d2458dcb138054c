"""Write base.zip, a package of the chain of these vectors, and mutants.txt, ways to spoil it.

It needs Python's standard library and nothing of Linewitness. Run it in an empty folder beside `chain` and
`checkpoint`: `python make.py ../..`, with the folder of the vectors as argument.

A line of mutants.txt is a name, `same` or `refused`, and splices of base.zip from its end to its beginning:
`AT:LENGTH:HEX` replaces that many bytes from AT on.
"""

import io
import struct
import sys
import zipfile
from pathlib import Path

LOCAL = {"need": (4, 2), "flags": (6, 2), "method": (8, 2), "time": (10, 2), "date": (12, 2), "crc": (14, 4)}
LOCAL |= {"packed": (18, 4), "size": (22, 4), "named": (26, 2), "extra": (28, 2)}
ENTRY = {"made": (4, 2), "need": (6, 2), "flags": (8, 2), "method": (10, 2), "time": (12, 2), "date": (14, 2)}
ENTRY |= {
    "crc": (16, 4),
    "packed": (20, 4),
    "size": (24, 4),
    "named": (28, 2),
    "extra": (30, 2),
    "comment": (32, 2),
}
ENTRY |= {"disk": (34, 2), "internal": (36, 2), "external": (38, 4), "offset": (42, 4)}
END = {
    "disk": (4, 2),
    "start": (6, 2),
    "here": (8, 2),
    "count": (10, 2),
    "size": (12, 4),
    "offset": (16, 4),
    "comment": (20, 2),
}
#: No reader of a package looks at these.
IGNORED = {"need", "made", "time", "date", "internal", "external"}


def base(vectors: Path) -> bytes:
    """Return the package: deflated files and one that is stored, as any program writes them."""
    files = {
        "records.ndjson": (vectors / "chain/records.ndjson").read_bytes(),
        "receipts/7.receipt": (vectors / "checkpoint/7.receipt").read_bytes(),
        "checkpoints/4.checkpoint": (vectors / "checkpoint/4.checkpoint").read_bytes(),
        "manifest.json": b"{}",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = (
                zipfile.ZIP_STORED if name.startswith("checkpoints") else zipfile.ZIP_DEFLATED
            )
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            package.writestr(entry, data)
    return buffer.getvalue()


class Mutants:
    """The mutants of one package."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = len(data) - 22
        self.first = struct.unpack_from("<I", data, self.end + 16)[0]
        self.lines: list[str] = []
        self.entries, at = [], self.first
        while at < self.end:
            named, extra = struct.unpack_from("<HH", data, at + 28)
            header = struct.unpack_from("<I", data, at + 42)[0]
            packed = struct.unpack_from("<I", data, at + 20)[0]
            own, more = struct.unpack_from("<HH", data, header + 26)
            self.entries.append((at, named, header, header + 30 + own + more, packed))
            at += 46 + named + extra

    def add(self, name: str, *splices: tuple[int, int, bytes], same: bool = False) -> None:
        """Write a mutant; splices may be given in any order."""
        ordered = sorted(splices, key=lambda splice: -splice[0])
        text = " ".join(f"{at}:{length}:{new.hex()}" for at, length, new in ordered)
        self.lines.append(f"{name} {'same' if same else 'refused'} {text}")

    def number(self, at: int, width: int, value: int) -> tuple[int, int, bytes]:
        """Return a splice that writes a number."""
        return at, width, (value % (1 << 8 * width)).to_bytes(width, "little")

    def value(self, at: int, width: int) -> int:
        return int.from_bytes(self.data[at : at + width], "little")

    def moved(self, at: int, by: int) -> list[tuple[int, int, bytes]]:
        """Return the splices that let all offsets count bytes which were inserted at a place."""
        splices = [self.number(self.end + 16, 4, self.first + by)] if at <= self.first else []
        for entry, _, header, _, _ in self.entries:
            if header >= at:
                splices.append(self.number(entry + 42, 4, header + by))
        return splices

    def fields(self) -> None:
        for number, (entry, _, header, _, _) in enumerate(self.entries):
            for where, start, form in (("local", header, LOCAL), ("entry", entry, ENTRY)):
                for name, (place, width) in form.items():
                    old = self.value(start + place, width)
                    for by in (1, -1) if name in ("crc", "packed", "size", "named", "offset") else (1,):
                        splice = self.number(start + place, width, old + by)
                        self.add(f"{where}-{number}-{name}{by:+d}", splice, same=name in IGNORED)
            for kind, what in ((0o040755 << 16, "folder"), (0o120777 << 16, "link"), (0x10, "dos-folder")):
                self.add(f"entry-{number}-{what}", self.number(entry + 38, 4, kind))
            for flag in (1, 8, 0x800, 0x2000):
                self.add(
                    f"flags-{number}-{flag}",
                    self.number(entry + 8, 2, flag),
                    self.number(header + 6, 2, flag),
                )
            method = 8 - self.value(entry + 10, 2)
            self.add(
                f"method-{number}", self.number(entry + 10, 2, method), self.number(header + 8, 2, method)
            )
            self.add(f"method-{number}-bzip2", self.number(entry + 10, 2, 12), self.number(header + 8, 2, 12))
        for name, (place, width) in END.items():
            for by in (1, -1):
                self.add(
                    f"end-{name}{by:+d}",
                    self.number(self.end + place, width, self.value(self.end + place, width) + by),
                )

    def names(self) -> None:
        for number, (entry, _, header, _, _) in enumerate(self.entries):
            for letter in (b"X", b"/", b"\x00", b"\xff"):
                local, central = (header + 30, 1, letter), (entry + 46, 1, letter)
                self.add(f"name-{number}-{letter.hex()}-local", local)
                self.add(f"name-{number}-{letter.hex()}-entry", central)
                self.add(f"name-{number}-{letter.hex()}-both", local, central)

    def gaps(self) -> None:
        places = [
            0,
            *(header for _, _, header, _, _ in self.entries[1:]),
            self.first,
            self.end,
            len(self.data),
        ]
        for number, at in enumerate(places):
            for junk in (b"\x00", b"PK\x03\x04", self.data[self.end :], self.data):
                splices = [(at, 0, junk)]
                self.add(f"gap-{number}-{len(junk)}", *splices)
                if at <= self.first:
                    self.add(f"gap-{number}-{len(junk)}-counted", *splices, *self.moved(at, len(junk)))
        self.add("comment", (len(self.data), 0, b"hello"), self.number(self.end + 20, 2, 5))
        whole = self.data[self.end :]
        self.add("second-end-in-comment", (len(self.data), 0, whole), self.number(self.end + 20, 2, 22))
        for number, (_, _, header, begin, packed) in enumerate(self.entries):
            self.add(
                f"file-{number}-grown",
                (begin + packed, 0, b"\x00"),
                *self.moved(begin + packed, 1),
                self.number(header + 18, 4, packed + 1),
                self.number(self.entries[number][0] + 20, 4, packed + 1),
            )

    def directory(self) -> None:
        entries = [self.data[at : at + 46 + named] for at, named, _, _, _ in self.entries]
        size = self.end - self.first

        def written(name: str, kept: list[bytes]) -> None:
            new = b"".join(kept)
            ends = struct.pack("<HHI", len(kept), len(kept), len(new))
            self.add(name, (self.first, size, new), (self.end + 8, 8, ends))

        written("directory-swapped", [entries[1], entries[0], *entries[2:]])
        for number, entry in enumerate(entries):
            written(f"directory-without-{number}", entries[:number] + entries[number + 1 :])
            written(f"directory-twice-{number}", [*entries, entry])
            for field in (b"\x01\x00\x00\x00", b"\x99\x99\x02\x00ab"):
                longer = entry[:30] + struct.pack("<H", len(field)) + entry[32:] + field
                written(
                    f"directory-extra-{number}-{len(field)}",
                    [*entries[:number], longer, *entries[number + 1 :]],
                )
            noted = entry[:32] + struct.pack("<H", 2) + entry[34:] + b"no"
            written(f"directory-comment-{number}", [*entries[:number], noted, *entries[number + 1 :]])
        written("directory-empty", [])
        for number, (_, _, header, begin, _) in enumerate(self.entries):
            for field in (b"\x01\x00\x00\x00", b"\x55\x54\x01\x00x"):
                self.add(
                    f"local-extra-{number}-{len(field)}",
                    (begin, 0, field),
                    self.number(header + 28, 2, len(field)),
                    *self.moved(begin, len(field)),
                )
            packed, size_at = self.value(header + 18, 4), self.value(header + 22, 4)
            large = struct.pack("<HHQQ", 1, 16, size_at, packed)
            self.add(
                f"local-zip64-{number}",
                (begin, 0, large),
                self.number(header + 28, 2, 20),
                (header + 18, 8, b"\xff" * 8),
                *self.moved(begin, 20),
                same=True,
            )
            wrong = struct.pack("<HHQQ", 1, 16, packed, size_at + 1)
            self.add(
                f"local-zip64-{number}-wrong",
                (begin, 0, wrong),
                self.number(header + 28, 2, 20),
                (header + 18, 8, b"\xff" * 8),
                *self.moved(begin, 20),
            )

    def large_end(self) -> None:
        count, size = len(self.entries), self.end - self.first
        for name, wrong in (("zip64-end", 0), ("zip64-end-elsewhere", 1)):
            record = struct.pack(
                "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, self.first + wrong
            )
            locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, self.end, 1)
            self.add(name, (self.end, 0, record + locator), same=not wrong)
            self.add(f"{name}-hidden", (self.end, 0, record + locator), self.number(self.end + 16, 4, 0))
            self.add(f"{name}-cut", (self.end, 0, locator))

    def contents(self) -> None:
        for number, (_, _, _, begin, packed) in enumerate(self.entries):
            for part in range(10):
                at = begin + part * (packed - 1) // 9
                self.add(f"data-{number}-{part}", (at, 1, bytes([self.data[at] ^ 1 << part % 8])))
        for part in range(40):
            at = (part + 1) * len(self.data) // 41
            self.add(f"cut-{part}", (at, len(self.data) - at, b""))


def main(vectors: Path) -> None:
    data = base(vectors)
    Path("base.zip").write_bytes(data)
    mutants = Mutants(data)
    for family in (
        mutants.fields,
        mutants.names,
        mutants.gaps,
        mutants.directory,
        mutants.large_end,
        mutants.contents,
    ):
        family()
    Path("mutants.txt").write_text("".join(f"{line}\n" for line in dict.fromkeys(mutants.lines)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
