"""How a source's state is remembered: one key for the head, one for each kept result and each span.

Results of earlier epochs stay under the keys that they had.
What earlier versions remembered is read as before.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from linewitness.devices.open_protocol.ledger.state import (
    HistoryMode,
    MissingRange,
    ResultCore,
    ResultEntry,
    ResultLedger,
)

Changes = Mapping[str, str | None]


def head_key(source: str) -> str:
    """Return the key of a source's head."""
    return f"head/{source}"


def first_key(source: str) -> str:
    """Return the key of the first result of a source's epoch."""
    return f"first/{source}"


def load(source: str, items: Mapping[str, str], default_mode: HistoryMode) -> ResultLedger:
    """Read a source's state from what was committed; a fresh one where there is nothing."""
    head = items.get(head_key(source))
    if head is None:
        return ResultLedger(source=source, mode=default_mode)
    epoch_text, watermark_text, mode, open_start, doubted = head.split()
    epoch = int(epoch_text)
    known = {
        int(key.rsplit("/", 1)[1]): ResultCore.parse(text)
        for key, text in items.items()
        if key.startswith(_known_prefix(source, epoch))
    }
    spans = [
        _read_span(key, text) for key, text in items.items() if key.startswith(_span_prefix(source, epoch))
    ]
    return ResultLedger(
        source=source,
        epoch=epoch,
        watermark=None if watermark_text == "-" else int(watermark_text),
        known=MappingProxyType(known),
        spans=tuple(sorted(spans, key=lambda span: span.first)),
        mode=HistoryMode(mode),
        open_start=open_start == "1",
        doubted=doubted == "1",
        past=past_of(_read_past(source, epoch, items)),
        first=_read_first(items.get(first_key(source)), epoch),
    )


def past_of(entries: Iterable[tuple[int, ResultEntry]]) -> Mapping[int, tuple[tuple[int, ResultCore], ...]]:
    """Return results of earlier epochs by id, each with its epoch."""
    past: dict[int, tuple[tuple[int, ResultCore], ...]] = {}
    for epoch, entry in sorted(entries, key=_age):
        past[entry.id] = (*past.get(entry.id, ()), (epoch, entry.core))
    return MappingProxyType(past)


def entries_of(ledger: ResultLedger) -> list[tuple[int, ResultEntry]]:
    """Return the results of earlier epochs, each with its epoch, oldest first."""
    entries = (
        (epoch, ResultEntry(number, core)) for number, kept in ledger.past.items() for epoch, core in kept
    )
    return sorted(entries, key=_age)


def _age(entry: tuple[int, ResultEntry]) -> tuple[int, int]:
    return entry[0], entry[1].id


def changes(before: ResultLedger, after: ResultLedger) -> Changes:
    """Return what must be remembered so that `load` gives `after` where `before` was remembered."""
    watermark = "-" if after.watermark is None else str(after.watermark)
    found: dict[str, str | None] = {
        head_key(
            after.source
        ): f"{after.epoch} {watermark} {after.mode} {int(after.open_start)} {int(after.doubted)}"
    }
    if before.epoch != after.epoch:
        found |= dict.fromkeys(_spans(before))
        old, kept = {**_past(before), **_known(before, before.known.keys())}, _past(after)
        found |= dict.fromkeys(old.keys() - kept.keys())
        found |= {key: text for key, text in kept.items() if key not in old}
        before = ResultLedger(source=after.source, epoch=after.epoch, first=before.first)
    if before.first != after.first:
        found[first_key(after.source)] = _first(after)
    found |= dict.fromkeys(_known(before, before.known.keys() - after.known.keys()))
    found |= _known(after, after.known.keys() - before.known.keys())
    if before.spans != after.spans:
        found |= dict.fromkeys(_spans(before)) | _spans(after)
    return MappingProxyType(found)


def _read_past(source: str, epoch: int, items: Mapping[str, str]) -> Iterator[tuple[int, ResultEntry]]:
    prefix = f"known/{source}/"
    for key, text in items.items():
        if key.startswith(prefix):
            of_epoch, _, number = key.removeprefix(prefix).partition("/")
            if of_epoch.isdigit() and number.isdigit() and int(of_epoch) != epoch:
                yield int(of_epoch), ResultEntry(int(number), ResultCore.parse(text))


def _past(ledger: ResultLedger) -> dict[str, str]:
    return {
        f"{_known_prefix(ledger.source, epoch)}{entry.id:010d}": str(entry.core)
        for epoch, entry in entries_of(ledger)
    }


def _first(ledger: ResultLedger) -> str | None:
    first = ledger.first
    return None if first is None else f"{ledger.epoch} {first.id} {first.core}"


def _read_first(text: str | None, epoch: int) -> ResultEntry | None:
    if text is None:
        return None
    of_epoch, number, core = text.split(" ", 2)
    return ResultEntry(int(number), ResultCore.parse(core)) if int(of_epoch) == epoch else None


def _known(ledger: ResultLedger, numbers: Iterable[int]) -> dict[str, str]:
    prefix = _known_prefix(ledger.source, ledger.epoch)
    return {f"{prefix}{number:010d}": str(ledger.known[number]) for number in numbers}


def _spans(ledger: ResultLedger) -> dict[str, str]:
    prefix = _span_prefix(ledger.source, ledger.epoch)
    return {
        f"{prefix}{span.first}-{span.last}": f"{span.rounds} {int(span.recorded)}" for span in ledger.spans
    }


def _read_span(key: str, text: str) -> MissingRange:
    first, last = key.rsplit("/", 1)[1].split("-")
    rounds, recorded = text.split()
    return MissingRange(int(first), int(last), int(rounds), recorded == "1")


def _known_prefix(source: str, epoch: int) -> str:
    return f"known/{source}/{epoch}/"


def _span_prefix(source: str, epoch: int) -> str:
    return f"span/{source}/{epoch}/"
