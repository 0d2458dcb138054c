"""Compare the devices' own bytes in a package with the records that name them.

docs/format.md, section 11.3.2.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from linewitness.evidence.format.raw import MAX_LINE, MalformedRaw, RawTelegram, names_bytes
from linewitness.evidence.package.archive import RAWS, BadPackage
from linewitness.evidence.verify.source import EvidenceSource
from linewitness.evidence.verify.verdict import Remark, Verdict

#: Every record that names bytes has this, and a text with these quotes in it would have them escaped.
_MARK: Final = b'"raw_'

Members = dict[str, Any]


def read_raws(blocks: Iterable[bytes]) -> Iterator[RawTelegram]:
    """Yield the lines of `raw.ndjson`; BadPackage where one breaks the form, or the numbers do not rise."""
    last, rest = -1, b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            try:
                one = RawTelegram.parse(line)
            except MalformedRaw as error:
                raise BadPackage(f"a line of {RAWS} cannot be read: {error}") from None
            if one.sequence_no <= last:
                raise BadPackage(f"the lines of {RAWS} are not in the order of the records")
            last = one.sequence_no
            yield one
        if len(rest) > MAX_LINE:
            break
    if rest:
        raise BadPackage(f"a line of {RAWS} is too long, or has no line feed")


def with_raws(source: EvidenceSource, raws: Callable[[], Iterator[RawTelegram]]) -> EvidenceSource:
    """Return the evidence with what a package brings beside its records; `raws` rise by their number."""
    return source.then(lambda verdict: compared(verdict, source.records(), raws()))


def compared(verdict: Verdict, records: Iterable[bytes], raws: Iterator[RawTelegram]) -> Verdict:
    """Return the verdict on records with the bytes beside them; a broken stream is not compared."""
    waiting = None if verdict.status == "BROKEN" else next(raws, None)
    if waiting is None:
        return verdict
    there = missing = 0
    for members in naming(records):
        number = members["sequence_no"]
        if waiting is None or waiting.sequence_no > number:
            missing += 1
            continue
        if waiting.sequence_no < number:
            break
        if not waiting.is_named_in(members["context"]):
            return _broken(
                verdict, number, "the device's own bytes in the package are not those that it names"
            )
        there += 1
        waiting = next(raws, None)
    if waiting is not None:
        reason = "the package has bytes of a device for it, and no record in it that names them"
        return _broken(verdict, waiting.sequence_no, reason)
    others = f", and not those of {missing} others" if missing else ""
    text = (
        f"the package has the devices' own bytes of {there} records, which are those that they name{others}"
    )
    return replace(verdict, remarks=(*verdict.remarks, Remark(None, text)))


def _broken(verdict: Verdict, number: int, reason: str) -> Verdict:
    size = verdict.size if verdict.selected is not None else min(verdict.size, number)
    return replace(verdict.broken(number, reason), size=size)


def naming(records: Iterable[bytes]) -> Iterator[Members]:
    """Yield the parsed records that name bytes of a device."""
    for data in records:
        if _MARK in data and names_bytes((members := json.loads(data))["context"]):
            yield members
