"""The manifest of a package: a table of contents for people, which a verifier compares with the records."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format.columns import columns_of
from linewitness.evidence.format.reading import read
from linewitness.evidence.verify.contents import RecordSummary

VERSION: Final = 1
#: Each proof is checked with its record: the names of many thousands would only fill the manifest.
_UNLISTED: Final = ".tlog-proof"


class Manifest:
    """The manifest of a package that is being written."""

    def __init__(self, origin: str, created_at: str, note: str, asked: Mapping[str, Any] | None) -> None:
        """Take what it says before the records are known; `asked` is what a selection was made for."""
        self._said = {"v": VERSION, "origin": origin, "created_at": created_at, "note": note}
        self._asked = asked
        self._count = 0
        self._summary: RecordSummary | None = RecordSummary()

    def counted(self, records: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the records on that go into the package; if one of them is none, contents are not stated."""
        for self._count, data in enumerate(records, 1):
            if self._summary:
                try:
                    self._summary.take(columns_of([read(data)]))
                except (EvidenceError, ValueError):
                    self._summary = None
            yield data

    def encode(self, files: Mapping[str, str]) -> bytes:
        """Return its bytes; `files` are the SHA-256 of each file by its name."""
        value = self._said | {"records": self._count}
        if self._summary and self._count:
            value["contents"] = self._summary.to_json()
        if self._asked:
            value["asked"] = dict(self._asked)
        return _encoded(value, files)


def manifest_of_streams(
    streams: Sequence[str],
    created_at: str,
    note: str,
    asked: Mapping[str, Any] | None,
    files: Mapping[str, str],
) -> bytes:
    """Return the bytes of the manifest beside the folders of several streams."""
    value: dict[str, Any] = {"v": VERSION, "streams": list(streams), "created_at": created_at, "note": note}
    return _encoded(value | ({"asked": dict(asked)} if asked else {}), files)


def _encoded(value: dict[str, Any], files: Mapping[str, str]) -> bytes:
    value["files"] = [
        {"name": name, "sha256": digest}
        for name, digest in sorted(files.items())
        if not name.endswith(_UNLISTED)
    ]
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
