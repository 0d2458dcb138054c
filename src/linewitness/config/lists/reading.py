"""From the bytes of a list's file to a `Listing`, or to everything that is wrong with the file."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from linewitness.base.clock import NS_PER_S, from_datetime
from linewitness.config.csv_text import decoded
from linewitness.config.lists.entries import entries_of
from linewitness.config.lists.table import ListTable
from linewitness.config.problems import ConfigurationErrors, ConfigurationProblem, SourcePosition
from linewitness.config.reading import MAX_PROBLEMS
from linewitness.evidence.format.note import MAX_NOTE_BYTES, BadNote, Note, Vkey
from linewitness.stations.lists.book import ListName
from linewitness.stations.lists.listing import MAX_LIST_BYTES, Listing
from linewitness.stations.lists.options import ListOptions

#: So far ahead of our clock an owner's clock may be.
MAX_AHEAD_S: Final = 3600
#: How the line begins that says when a list was issued.
ISSUED: Final = "# issued:"
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2})"
)
#: The end of a signed note.
SIGNATURES: Final = re.compile(r"\n\n(— [^\n]*\n)+\Z")


@dataclass(frozen=True, slots=True)
class ListReading:
    """A list, and where it first names each station."""

    listing: Listing
    stations: Mapping[str, SourcePosition]


def read_listing(name: ListName, options: ListOptions, data: bytes, now_ns: int) -> Listing:
    """Return a list of its file's bytes; ConfigurationErrors says what is wrong with them, and where."""
    return examine_listing(name, options, data, now_ns).listing


def examine_listing(name: ListName, options: ListOptions, data: bytes, now_ns: int) -> ListReading:
    """Return what `read_listing` returns, and the places of stations."""
    file = options.file
    text, signer = _text(name, options, data)
    if not text.endswith("\n"):
        hint = "it may be written at this moment; end it with a line end, and replace the file with `mv`"
        last = text.count("\n") + 1
        raise _errors(file, "the last line has no line end", hint, line=last)
    issued_ns = _issued(file, text, now_ns)
    if signer and issued_ns is None:
        hint = "an older one could take its place: begin with a line such as # issued: 2027-03-01T06:00:00Z"
        raise _errors(file, "a signed list must say when it was issued", hint)
    table = ListTable(name, file, text)
    entries = entries_of(name, table)
    if table.problems:
        raise ConfigurationErrors(file, _bearable(table.problems))
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    listing = Listing(name=name, digest=digest, entries=entries.found, issued_ns=issued_ns, signer=signer)
    return ListReading(listing, entries.stations)


def _text(name: ListName, options: ListOptions, data: bytes) -> tuple[str, str]:
    """Return the CSV of a file, and the name of the key that signed it, if one must."""
    file = options.file
    if len(data) > MAX_LIST_BYTES:
        hint = "leave out what this line does not need"
        raise _errors(file, f"a list has at most {MAX_LIST_BYTES // 1024**2} MiB", hint)
    text = decoded(data, file)
    if not isinstance(text, str):
        raise ConfigurationErrors(file, [text])
    if options.signed_by is not None:
        return _signed_text(file, text, Vkey.parse(options.signed_by))
    if SIGNATURES.search(text):
        hint = f"name the key in lists.{name}.signed_by"
        raise _errors(file, "the list is signed, and the YAML does not say by whom", hint)
    return text, ""


def _signed_text(file: Path, text: str, vkey: Vkey) -> tuple[str, str]:
    wanted = f"{vkey.name} ({vkey.key_id})"
    if len(text) > MAX_NOTE_BYTES:
        hint = "leave out what this line does not need"
        raise _errors(file, f"a signed list has at most {MAX_NOTE_BYTES:,} characters", hint)
    try:
        note = Note.parse(text)
        is_signed = note.signed_by(vkey) is not None
    except BadNote as error:
        hint = error.hint or f"it must be a signed note of {wanted}, without tabs and with line feeds only"
        raise _errors(file, error.what, hint) from None
    if not is_signed:
        others = ", ".join(f"{line.name} ({line.key_id})" for line in note.signatures)
        raise _errors(file, f"the list is not signed by {wanted}", f"it is signed by {others}")
    return note.text, vkey.name


def _issued(file: Path, text: str, now_ns: int) -> int | None:
    """Return when the owner issued the list, as the comments at its top say."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.startswith("#"):
            return None
        if line.startswith(ISSUED):
            return _time(file, line.removeprefix(ISSUED).strip(), number, now_ns)
    return None


def _time(file: Path, text: str, line: int, now_ns: int) -> int:
    column = len(ISSUED) + 2
    try:
        moment = datetime.fromisoformat(text.upper()) if _RFC3339.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        hint = "write it as 2027-03-01T06:00:00Z or 2027-03-01T07:00:00+01:00"
        raise _errors(file, f"{text!r} is not a time", hint, line=line, column=column)
    issued_ns = from_datetime(moment)
    if issued_ns > now_ns + MAX_AHEAD_S * NS_PER_S:
        hint = "correct it, or look at the clock of this machine"
        raise _errors(file, f"the list is issued in the future, {text}", hint, line=line, column=column)
    return issued_ns


def _bearable(problems: list[ConfigurationProblem]) -> list[ConfigurationProblem]:
    if len(problems) < MAX_PROBLEMS:
        return problems
    last = problems[MAX_PROBLEMS - 1].place
    return [
        *problems[:MAX_PROBLEMS],
        ConfigurationProblem(last, "~", "and more mistakes", "correct these first"),
    ]


def _errors(file: Path, what: str, hint: str, *, line: int = 1, column: int = 1) -> ConfigurationErrors:
    place = SourcePosition(line, column, str(file))
    return ConfigurationErrors(file, [ConfigurationProblem(place, "", what, hint)])
