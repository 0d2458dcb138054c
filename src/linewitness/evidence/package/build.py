"""Put a package together from what a journal or a store holds: a whole stream, or a selection with proofs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, Final, Required, TypedDict, Unpack

from linewitness.base.errors import EvidenceError, ExitCode
from linewitness.evidence.format import record
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import Subtree
from linewitness.evidence.format.note import BadNote, Note
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.package.archive import HELD
from linewitness.evidence.package.first_receipts import MAX_RECEIPTS, ReceiptFiles, spread
from linewitness.evidence.package.report import build_report
from linewitness.evidence.package.time_stamps import StampedCheckpoint, StampFiles, useful_stamps
from linewitness.evidence.package.write import PackageContents, write_package
from linewitness.evidence.progress import Progress
from linewitness.evidence.verify.verdict import Verdict

if TYPE_CHECKING:
    from linewitness.evidence.package.raws import RawChoice

_EVERY: Final = 100


class CannotPack(EvidenceError):
    """What was asked for cannot be proven yet, or is not there: says nothing against the evidence."""

    exit_code = ExitCode.CONFIGURATION


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageLabel:
    """What the package says about itself: for people, believed by no verifier.

    `created_at` is a time as records have it; `verdict` what was found when it was packed; `asked` what a
    selection was made for.
    """

    title: str
    created_at: str
    verdict: Verdict | None = None
    asked: Mapping[str, Any] | None = None


def verifier_page() -> bytes:
    """Return `verify.html`, the verifier that runs in a browser without a network."""
    return (files("linewitness.evidence.package") / "verify.html").read_bytes()


def merged(notes: Iterable[str]) -> dict[int, Note]:
    """Return one note for each size, with the signatures of all notes of the same text; others are left out.

    A receipt and a witness's cosignature of one checkpoint come separately; a selection carries one note.
    """
    found: dict[int, Note] = {}
    for text in notes:
        try:
            note = Note.parse(text)
            size = Checkpoint.parse(note.text).size
        except BadNote:
            continue
        known = found.setdefault(size, note)
        if known.text == note.text:
            found[size] = Note(note.text, tuple(dict.fromkeys((*known.signatures, *note.signatures))))
    return found


def note_for(notes: Iterable[str], last: int) -> str:
    """Return the note that most parties signed of those that cover a record, the newest of equals."""
    covering = {size: note for size, note in merged(notes).items() if size > last}
    if not covering:
        raise CannotPack(
            f"no receipt covers record {last} yet",
            hint="wait until the store has confirmed it, then pack again",
        )
    best = max(covering, key=lambda size: (len(covering[size].signatures), size))
    return str(covering[best])


def pack_stream(
    target: IO[bytes],
    *,
    origin: str,
    records: Callable[[], Iterator[bytes]],
    receipts: Sequence[tuple[int, str]],
    stamps: Sequence[StampedCheckpoint] = (),
    raws: "RawChoice | None" = None,
    held: str | None = None,
    label: PackageLabel,
) -> int:
    """Write a package of all records from record 0 on, and return their number.

    `records` is called for the records, for the report and for the devices' bytes; `receipts` are
    (size, note), and like `stamps` oldest first; of too many, some of all times are packed. `held` is a
    receipt that the store made for this package.
    """
    stamp_files = StampFiles(stamps[-MAX_RECEIPTS:])
    report = build_report(
        (record.parse(data) for data in records()),
        title=label.title,
        created_at=label.created_at,
        verdict=label.verdict,
        telegram=raws.text if raws else _not_shown,
    )
    return write_package(
        target,
        PackageContents(
            origin=origin,
            created_at=label.created_at,
            note=label.title,
            records=records(),
            raws=raws.lines(records()) if raws else None,
            statements=[
                *((f"receipts/{size}.receipt", note) for size, note in spread(receipts, MAX_RECEIPTS)),
                *([(HELD, held)] if held else []),
                *stamp_files.texts,
            ],
            tokens=stamp_files.tokens,
            documents={"report.html": report, "verify.html": verifier_page()},
        ),
    )


class SelectionParts(TypedDict, total=False):
    """What `selection_contents` is given beside the devices' own bytes."""

    origin: Required[str]
    selected: Required[Sequence[tuple[int, bytes]]]
    key_records: Required[Sequence[tuple[int, bytes]]]
    receipt: Required[str]
    subtree: Required[Subtree]
    receipts: Sequence[tuple[int, str]]
    stamps: Sequence[StampedCheckpoint]
    held: str | None
    label: Required[PackageLabel]
    progress: Progress | None


def pack_selection(
    target: IO[bytes], *, raws: "RawChoice | None" = None, **given: Unpack[SelectionParts]
) -> int:
    """Write a package of some records with its report, and return their number; see `selection_contents`."""
    contents = selection_contents(raws=raws, **given)
    label = given["label"]
    report = build_report(
        (record.parse(data) for _, data in given["selected"]),
        title=label.title,
        created_at=label.created_at,
        verdict=label.verdict,
        telegram=raws.text if raws else _not_shown,
    )
    documents = {"report.html": report, "verify.html": verifier_page()}
    return write_package(target, replace(contents, documents=documents))


def selection_contents(
    *,
    origin: str,
    selected: Sequence[tuple[int, bytes]],
    key_records: Sequence[tuple[int, bytes]],
    receipt: str,
    subtree: Subtree,
    receipts: Sequence[tuple[int, str]] = (),
    stamps: Sequence[StampedCheckpoint] = (),
    raws: "RawChoice | None" = None,
    held: str | None = None,
    label: PackageLabel,
    progress: Progress | None = None,
) -> PackageContents:
    """Return what is in a package of some records, each with its proof; it has no documents.

    `selected` are (sequence_no, exact bytes), rising; `key_records` the same for record 0 and every
    `key.rotated`, of which those after the last selected record are left out; `receipt` is the note that
    all proofs are about; `subtree` reads the stream's tree; `receipts` are other receipts as (size, note),
    those that say when somebody had first seen the records; `stamps` are oldest first; `held` is a receipt
    that the store made for this package; `progress` is told how many proofs were made. CannotPack if the
    receipt does not cover the records.
    """
    if not selected:
        raise CannotPack("there is nothing to pack", hint="check the unit, the batch or the times asked for")
    last = selected[-1][0]
    size = Checkpoint.parse(Note.parse(receipt).text).size
    if last >= size:
        raise CannotPack(
            f"record {last} is not covered by the receipt over {size} records",
            hint="wait until the store has confirmed it, then pack again",
        )
    stamp_files = StampFiles(useful_stamps(stamps, last), size=size, subtree=subtree)
    needed = [(at, data) for at, data in key_records if at <= last]
    places = sorted({at for at, _ in chain(selected, needed)})
    return PackageContents(
        origin=origin,
        created_at=label.created_at,
        note=label.title,
        records=(data for _, data in selected),
        raws=raws.lines(data for _, data in selected) if raws else None,
        key_records=[data for _, data in needed],
        proofs=_proofs(places, receipt, subtree, progress),
        asked=label.asked,
        statements=[
            *([(HELD, held)] if held else []),
            *ReceiptFiles(receipts, size=size, subtree=subtree).texts,
            *stamp_files.texts,
        ],
        tokens=stamp_files.tokens,
    )


def _not_shown(_: dict[str, Any]) -> None:
    """Show no telegrams in the report."""


def _proofs(
    places: Sequence[int], receipt: str, subtree: Subtree, progress: Progress | None
) -> Iterator[tuple[int, str]]:
    for count, at in enumerate(places, 1):
        yield at, str(TlogProof.make(at, receipt, subtree))
        if progress and count % _EVERY == 0:
            progress(count)
