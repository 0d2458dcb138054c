"""Write an evidence package (docs/format.md, section 11.3)."""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from linewitness.evidence.package.archive import (
    EDGE,
    ENDED,
    FOLDER,
    KEYS,
    MANIFEST,
    NAME,
    ORIGIN,
    RAWS,
    RECORDS,
)
from linewitness.evidence.package.manifest import Manifest, manifest_of_streams

#: The same records give the same file, whenever it is written.
_TIMESTAMP: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageContents:
    """What goes into a package.

    `records` are exact bytes that rise by `sequence_no`. Without `proofs` they are a whole stream from
    record 0 on. With them they are a selection: `key_records` holds record 0 and the rotations, and there
    is a tlog-proof for each of both, by `sequence_no`. `tokens` are time stamps, by their file's name, and
    lie beside the checkpoints that they are over, which are statements. `raws` are lines of devices' bytes;
    `documents` may hold `report.html` and `verify.html`; `asked` is what a selection was made for. With
    `ended` they are a handover: the end of a stream, see `package.ended`, and `edge` is its edge there.
    """

    origin: str
    created_at: str
    records: Iterable[bytes]
    key_records: Sequence[bytes] = ()
    proofs: Iterable[tuple[int, str]] = ()
    statements: Sequence[tuple[str, str]] = ()
    tokens: Sequence[tuple[str, bytes]] = ()
    documents: Mapping[str, bytes] | None = None
    note: str = ""
    raws: Iterable[bytes] | None = None
    ended: str = ""
    edge: str = ""
    asked: Mapping[str, Any] | None = None


def write_package(target: IO[bytes], contents: PackageContents) -> int:
    """Write a package and return the number of its records; names of statements are `receipts/42.receipt`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        return _PackedStream(package).write(contents)


def write_streams(
    target: IO[bytes],
    parts: Sequence[PackageContents],
    *,
    created_at: str,
    note: str,
    asked: Mapping[str, Any] | None,
    documents: Mapping[str, bytes],
) -> int:
    """Write a package of several streams, each in its folder, and return the number of all records."""
    streams: list[_PackedStream] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        count = 0
        for number, part in enumerate(parts, 1):
            streams.append(_PackedStream(package, FOLDER.format(number)))
            count += streams[-1].write(part)
        top = _PackedStream(package)
        for name, data in documents.items():
            top.add(name, data)
        files = {stream.folder + name: digest for stream in streams for name, digest in stream.files.items()}
        origins = [part.origin for part in parts]
        top.add(MANIFEST, manifest_of_streams(origins, created_at, note, asked, files | top.files))
    return count


class _PackedStream:
    """The files of one stream in a package, `folder` before their names; `files` are their SHA-256."""

    def __init__(self, package: zipfile.ZipFile, folder: str = "") -> None:
        self._package = package
        self.folder = folder
        self.files: dict[str, str] = {}

    def write(self, contents: PackageContents) -> int:
        """Write all files of a stream, and return the number of its records."""
        manifest = Manifest(contents.origin, contents.created_at, contents.note, contents.asked)
        if self.folder:
            self._put(ORIGIN, f"{contents.origin}\n".encode())
        count = self._add_lines(RECORDS, manifest.counted(contents.records))
        self._add_lines(KEYS, contents.key_records)
        if contents.raws is not None:
            self._add_lines(RAWS, contents.raws)
        for name, text in contents.statements:
            self.add(name, text.encode())
        for name, data in contents.tokens:
            self.add(name, data)
        for name, text in ((ENDED, contents.ended), (EDGE, contents.edge)):
            if text:
                self.add(name, text.encode())
        for sequence_no, text in contents.proofs:
            self.add(f"proofs/{sequence_no}.tlog-proof", text.encode())
        for name, data in (contents.documents or {}).items():
            self.add(name, data)
        self.add(MANIFEST, manifest.encode(self.files))
        return count

    def add(self, name: str, data: bytes) -> None:
        """Write a file; ValueError if no package has one of this name, or it is there already."""
        if not NAME.fullmatch(name) or name in self.files:
            raise ValueError(f"{name} cannot be a file of a package, or is there already")
        self._put(name, data)

    def _put(self, name: str, data: bytes) -> None:
        self._package.writestr(_entry(self.folder + name), data)
        self.files[name] = hashlib.sha256(data).hexdigest()

    def _add_lines(self, name: str, lines: Iterable[bytes]) -> int:
        count = 0
        digest = hashlib.sha256()
        with self._package.open(_entry(self.folder + name), "w", force_zip64=True) as file:
            for line in lines:
                file.write(line + b"\n")
                digest.update(line + b"\n")
                count += 1
        self.files[name] = digest.hexdigest()
        return count


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIMESTAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
