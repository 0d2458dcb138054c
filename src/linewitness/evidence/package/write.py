"""Write an evidence package (docs/format.md, section 11.3)."""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from linewitness.evidence.package.archive import EDGE, ENDED, KEYS, MANIFEST, NAME, RAWS, RECORDS
from linewitness.evidence.package.manifest import Manifest

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
    files: dict[str, str] = {}
    manifest = Manifest(contents.origin, contents.created_at, contents.note, contents.asked)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        count = _write_lines(package, RECORDS, manifest.counted(contents.records), files)
        _write_lines(package, KEYS, contents.key_records, files)
        if contents.raws is not None:
            _write_lines(package, RAWS, contents.raws, files)
        for name, text in contents.statements:
            _write(package, name, text.encode(), files)
        for name, data in contents.tokens:
            _write(package, name, data, files)
        for name, text in ((ENDED, contents.ended), (EDGE, contents.edge)):
            if text:
                _write(package, name, text.encode(), files)
        for sequence_no, text in contents.proofs:
            _write(package, f"proofs/{sequence_no}.tlog-proof", text.encode(), files)
        for name, data in (contents.documents or {}).items():
            _write(package, name, data, files)
        _write(package, MANIFEST, manifest.encode(files), {})
    return count


def _write_lines(package: zipfile.ZipFile, name: str, lines: Iterable[bytes], files: dict[str, str]) -> int:
    count = 0
    digest = hashlib.sha256()
    with package.open(_entry(name), "w", force_zip64=True) as file:
        for line in lines:
            file.write(line + b"\n")
            digest.update(line + b"\n")
            count += 1
    files[name] = digest.hexdigest()
    return count


def _write(package: zipfile.ZipFile, name: str, data: bytes, files: dict[str, str]) -> None:
    if not NAME.fullmatch(name) or name in files:
        raise ValueError(f"{name} cannot be a file of a package, or is there already")
    package.writestr(_entry(name), data)
    files[name] = hashlib.sha256(data).hexdigest()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIMESTAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
