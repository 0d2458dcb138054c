"""Open what an outsider is given, an evidence package or exported records, and verify it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Unpack
from zipfile import is_zipfile

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.package.archive import Package
from linewitness.evidence.package.claims import false_claims, false_streams
from linewitness.evidence.package.raw_check import read_raws, with_raws
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.ended import HandedOver, verify_handover
from linewitness.evidence.verify.selection.selection import verify_selection
from linewitness.evidence.verify.source import (
    EvidenceSource,
    VerifierOptions,
    source_of_several,
    stream_source,
)
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import read_ndjson
from linewitness.evidence.verify.verdict import Verdict

#: Exported records, one a line, and beside them a file with the notes about a whole stream.
NDJSON: Final = (".ndjson", ".jsonl")
RECEIPTS: Final = ".receipts"
#: Between two notes of that file.
NOTE_END: Final = "\x1e"
#: Of a file that may be a line's YAML, so many bytes are looked at.
_LOOKED_AT: Final = 4096


def is_evidence(path: Path) -> bool:
    """Return whether a path names a package or exported records; a package need not exist.

    A binary file can only be meant as a package, and is refused as one.
    """
    if path.suffix == ".zip":
        return True
    return path.is_file() and (path.suffix in NDJSON or is_zipfile(path) or _is_binary(path))


def _is_binary(path: Path) -> bool:
    """Return whether a file has bytes that no text has, in whatever encoding it was saved."""
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(_LOOKED_AT)
    except OSError:  # whoever reads it says why it cannot be read
        return False


@contextmanager
def open_evidence(path: Path) -> Iterator[EvidenceSource]:
    """Open a package or exported records; ConfigurationError or BadPackage if it is neither."""
    if path.suffix in NDJSON and path.is_file():
        yield stream_source(lambda: read_ndjson(path), _receipts_of(path))
        return
    if not path.is_file():
        raise ConfigurationError(f"there is no {path}", hint="name an evidence package (.zip)")
    with Package.open(path) as package:
        streams = package.streams()
        if streams:
            parts = {origin: _checked_source(part) for origin, part in streams.items()}
            yield source_of_several(parts, false_streams(package, [*parts]))
        else:
            yield _checked_source(package)


def _checked_source(package: Package) -> EvidenceSource:
    """Return the evidence of one stream; BadPackage where bytes of a device cannot be read."""
    for _ in read_raws(package.raws()):
        pass  # a line that cannot be read is refused before anything is judged
    compared = _source(package).then(lambda verdict: _with_claims(package, verdict))
    return with_raws(compared, lambda: read_raws(package.raws()))


def _source(package: Package) -> EvidenceSource:
    if package.is_handover:
        return _handover_source(package)
    if package.is_selection:
        return _selection_source(package)
    return stream_source(package.records, package.statements())


def _with_claims(package: Package, verdict: Verdict) -> Verdict:
    """Return the verdict with what the manifest says of the records that is not so."""
    return replace(verdict, remarks=(*verdict.remarks, *false_claims(package, verdict)))


def _selection_source(package: Package) -> EvidenceSource:
    def judge(*, policy: Policy | None, **options: Unpack[VerifierOptions]) -> Verdict:
        if policy is None:
            raise ConfigurationError(
                "a selection proves nothing without a policy, which names the trusted keys",
                hint="give --policy, from your own files and not from whoever gave you the package",
            )
        return verify_selection(
            package.records(),
            package.key_records(),
            package.proof_of,
            policy=policy,
            statements=package.statements(),
            **options,
        )

    return EvidenceSource(records=package.records, statements=package.proven(), verify=judge)


def _handover_source(package: Package) -> EvidenceSource:
    handed = HandedOver(
        records=package.records,
        key_records=package.key_records,
        proof_of=package.proof_of,
        edge=package.edge(),
        end=package.end(),
        statements=package.statements(),
    )

    def judge(*, policy: Policy | None, **options: Unpack[VerifierOptions]) -> Verdict:
        return verify_handover(handed, policy=policy, **options)

    return EvidenceSource(records=package.records, statements=package.proven(), verify=judge)


def _receipts_of(path: Path) -> list[Statement]:
    beside = path.with_suffix(RECEIPTS)
    if not beside.exists():
        return []
    notes = beside.read_text(encoding="utf-8").split(NOTE_END)
    return [Statement(f"{beside.name}[{index}]", note) for index, note in enumerate(notes) if note]
