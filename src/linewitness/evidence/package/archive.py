"""The evidence package: one zip file that an outsider checks with a policy and nothing else of ours.

docs/format.md, section 11.3. A package is read where it lies; nothing in it is unpacked to disk or run,
and nothing in it is believed but what signatures and hashes bear out.
"""

import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Self

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import canonical
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import BadProof
from linewitness.evidence.format.note import BadNote, Note
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.package.layout import BadLayout, PackedFile, read_layout, unpacked
from linewitness.evidence.verify.selection.stamps import of_history
from linewitness.evidence.verify.statements import Statement, Token

MANIFEST: Final = "manifest.json"
RECORDS: Final = "records.ndjson"
KEYS: Final = "keys.ndjson"
#: The devices' own bytes of some records.
RAWS: Final = "raw.ndjson"
#: Of a handover: where the ended stream ends, as a note that its log key signed, or its text alone.
ENDED: Final = "ended.note"
#: Of a handover that begins after record 0: the complete subtrees before its first record, largest first.
EDGE: Final = "proofs/edge"
STATEMENTS: Final = ("checkpoints", "receipts", "anchors")
#: The receipt that the store made for the package. Who reads it goes by its time, and not by its name.
HELD: Final = "receipts/held.receipt"
#: Beside `anchors/NAME.checkpoint`: a time stamp over its bytes.
STAMPED: Final = ".checkpoint"
STAMP: Final = ".tsr"
#: In a selection, beside `anchors/NAME.checkpoint` and `receipts/NAME.receipt`: a consistency proof.
RECEIPT: Final = ".receipt"
CONSISTENCY: Final = ".consistency"
#: A verifier keeps the names in memory, about a kilobyte each.
MAX_MEMBERS: Final = 300_000
#: Notes, proofs: everything but records and what is for people.
MAX_SMALL_BYTES: Final = 1_000_000
#: All notes and time stamps together, and all proofs and devices' bytes: they cost time and memory.
MAX_NOTES_BYTES: Final = 20_000_000
MAX_PROOFS_BYTES: Final = 1_000_000_000

#: Of one stream among several: its name. All other files are called as in a package of one stream.
ORIGIN: Final = "origin"
#: Before the names of the files of the n-th of several streams.
FOLDER: Final = "streams/{}/"
#: What a file of a package can be called.
NAME: Final = re.compile(
    r"manifest\.json|records\.ndjson|keys\.ndjson|raw\.ndjson|ended\.note|report\.html|verify\.html"
    r"|(checkpoints|receipts|proofs|anchors)/[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
)
_OF_SEVERAL: Final = re.compile(
    r"manifest\.json|report\.html|verify\.html|streams/[1-9][0-9]{0,2}/(origin|(?!ended|report|verify)("
    + NAME.pattern
    + "))"
)
_IN_FOLDER: Final = re.compile(r"streams/([1-9][0-9]{0,2})/(.*)", re.DOTALL)
_MAX_ORIGIN_BYTES: Final = 1000
_DOCUMENTS: Final = frozenset(("report.html", "verify.html", MANIFEST))
MAX_MANIFEST_BYTES: Final = 100_000_000


class BadPackage(EvidenceError):
    """A file is not an evidence package, or one that nobody should open."""


class Package:
    """A package that is open for reading."""

    def __init__(self, file: IO[bytes], members: dict[str, PackedFile] | None = None) -> None:
        """Check the whole container; `members` are files of one that was checked. BadPackage if bad."""
        self._file = file
        self._members = _checked(file) if members is None else members

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a package file; BadPackage if it is none, or can be read in more than one way."""
        with path.open("rb") as file:
            try:
                yield cls(file)
            except BadLayout as error:
                raise BadPackage(error.what) from None

    def streams(self) -> dict[str, Self]:
        """Return the parts of a package of several streams by the names of these; none of any other."""
        found: dict[str, Self] = {}
        for members in _folders(self._members):
            part = type(self)(self._file, members)
            origin, end, rest = part.small(ORIGIN).partition("\n")
            if not origin or not end or rest or members[ORIGIN].size > _MAX_ORIGIN_BYTES:
                raise BadPackage(f"a file {ORIGIN} of the package does not hold the name of a stream")
            if origin in found:
                raise BadPackage(f"the package holds the stream {origin} twice")
            found[origin] = part
        return found

    @property
    def is_handover(self) -> bool:
        """Whether the records are the end of a stream that was handed over to a store."""
        return ENDED in self._members

    @property
    def is_selection(self) -> bool:
        """Whether the records are a selection, each with its own proof."""
        return not self.is_handover and any(name.startswith("proofs/") for name in self._members)

    def end(self) -> str:
        """Return where the stream ended, as it stands in a handover."""
        return self.small(ENDED)

    def edge(self) -> str | None:
        """Return the edge of the tree before the first record of a handover; None where that is record 0."""
        return self.small(EDGE) if EDGE in self._members else None

    def manifest(self) -> dict[str, Any]:
        """Return the manifest, which is a table of contents for people and proves nothing."""
        try:
            value = json.loads(self._bytes(MANIFEST, most=MAX_MANIFEST_BYTES))
        except (ValueError, RecursionError):
            raise BadPackage("the manifest is not JSON") from None
        if not isinstance(value, dict):
            raise BadPackage("the manifest is not a JSON object")
        return value

    def manifest_bytes(self) -> int | None:
        """Return how large the manifest is, None where there is none."""
        return self._members[MANIFEST].size if MANIFEST in self._members else None

    def records(self) -> Generator[bytes]:
        """Yield the exact bytes of the records."""
        return self._lines(RECORDS)

    def key_records(self) -> Iterator[bytes]:
        """Yield the exact bytes of record 0 and of the rotations."""
        return self._lines(KEYS)

    def raws(self) -> Iterator[bytes]:
        """Yield what the package has of the devices' own bytes, in blocks; `raw_check` reads it."""
        return unpacked(self._file, self._members[RAWS]) if RAWS in self._members else iter(())

    def statements(self) -> list[Statement]:
        """Return the checkpoints, receipts and anchors, with the time stamps that are over their bytes.

        A time stamp beside which no checkpoint lies is returned as what it is not, and so does not count.
        """
        return [
            Statement(name, self.small(name), self._token_over(name), self._consistency_of(name))
            for name in sorted(self._members)
            if name.startswith(STATEMENTS) and not self._is_about_another(name)
        ]

    def _is_about_another(self, name: str) -> bool:
        stamps = _is_stamp(name) and name.removesuffix(STAMP) + STAMPED in self._members
        return stamps or (name.startswith(("anchors/", "receipts/")) and name.endswith(CONSISTENCY))

    def _token_over(self, name: str) -> Token | None:
        stem = name.removesuffix(STAMPED)
        stamp = stem + STAMP
        if stem == name or not _is_stamp(stamp) or stamp not in self._members:
            return None
        return Token(stamp, self._bytes(stamp))

    def _consistency_of(self, name: str) -> str | None:
        folder, kind = ("anchors/", STAMPED) if name.endswith(STAMPED) else ("receipts/", RECEIPT)
        if not (name.startswith(folder) and name.endswith(kind)):
            return None
        proof = name.removesuffix(kind) + CONSISTENCY
        return self.small(proof) if proof in self._members else None

    def proven(self) -> list[Statement]:
        """Return the checkpoint that a selection's proofs are about, as that of record 0 has it.

        After it come those that are shown to be of the same history.
        """
        try:
            note = TlogProof.parse(self.proof_of(0) or "").checkpoint
            shared = Checkpoint.parse(Note.parse(note).text)
        except (BadNote, BadProof):
            return []  # the verdict says what is wrong
        return [Statement("the proofs' checkpoint", note), *of_history(self.statements(), shared)]

    def proof_of(self, sequence_no: int) -> str | None:
        """Return the text of a record's proof, or None."""
        name = f"proofs/{sequence_no}.tlog-proof"
        return self.small(name) if name in self._members else None

    def _lines(self, name: str) -> Generator[bytes]:
        if name not in self._members:
            return
        rest = b""
        for block in unpacked(self._file, self._members[name]):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield line[: canonical.MAX_BYTES + 1]
            if len(rest) > canonical.MAX_BYTES:
                yield rest[: canonical.MAX_BYTES + 1]  # too long for a record: it ends what is read
                return
        if rest:
            yield rest

    def small(self, name: str) -> str:
        """Return the text of a small file; nothing if it is no UTF-8."""
        try:
            return self._bytes(name).decode()
        except UnicodeDecodeError:
            return ""  # no statement, proof or manifest; whoever reads it says so

    def _bytes(self, name: str, *, most: int = MAX_SMALL_BYTES) -> bytes:
        if name not in self._members:
            raise BadPackage(f"the package holds no {name}")
        if self._members[name].size > most:
            raise BadPackage(f"{name} is larger than {most} bytes")
        return b"".join(unpacked(self._file, self._members[name]))


def _is_stamp(name: str) -> bool:
    return name.startswith("anchors/") and name.endswith(STAMP)


def _folders(members: dict[str, PackedFile]) -> list[dict[str, PackedFile]]:
    """Return the files of each of several streams, by their names in its folder."""
    folders: dict[int, dict[str, PackedFile]] = {}
    for name, member in members.items():
        if found := _IN_FOLDER.fullmatch(name):
            folders.setdefault(int(found[1]), {})[found[2]] = member
    if sorted(folders) != [*range(1, len(folders) + 1)]:
        raise BadPackage("the folders of the package's streams are not numbered from 1 on")
    return [folders[number] for number in sorted(folders)]


def _checked(file: IO[bytes]) -> dict[str, PackedFile]:
    """Return the files, after all of them were unpacked once: damage is found before anything is judged."""
    members: dict[str, PackedFile] = {}
    for member in read_layout(file, most=MAX_MEMBERS):
        if member.name in members:
            raise BadPackage(f"the package holds {member.name} twice")
        members[member.name] = member
    several = any(name.startswith("streams/") for name in members)
    if wrong := next(
        (name for name in members if not (_OF_SEVERAL if several else NAME).fullmatch(name)), None
    ):
        raise BadPackage(f"the package holds {wrong!r}, which does not belong into one")
    for part in _folders(members) if several else [members]:
        for name in (RECORDS, *([ORIGIN] if several else [])):
            if name not in part:
                raise BadPackage(f"the package holds no {name}")
    _check_sizes([(_IN_FOLDER.sub(r"\2", name), member) for name, member in members.items()])
    for member in members.values():
        for _ in unpacked(file, member):
            pass
    return members


def _check_sizes(files: list[tuple[str, PackedFile]]) -> None:
    """Refuse notes and proofs that are too large, one by one or together; names are those in their folder."""
    small = [(name, member) for name, member in files if name not in {RECORDS, KEYS, *_DOCUMENTS}]
    for name, member in small:
        if member.size > MAX_SMALL_BYTES and name != RAWS:
            raise BadPackage(f"{member.name} is larger than {MAX_SMALL_BYTES} bytes")
    proofs = sum(member.size for name, member in small if name.startswith(("proofs/", RAWS)))
    if sum(member.size for _, member in small) - proofs > MAX_NOTES_BYTES or proofs > MAX_PROOFS_BYTES:
        raise BadPackage("the notes or the proofs of the package are too large together")
