"""How a source's state is remembered: one key for the head, one for each kept result and each span."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from linewitness.devices.open_protocol.ledger.state import HistoryMode, MissingRange, ResultCore, ResultLedger

Changes = Mapping[str, str | None]


def head_key(source: str) -> str:
    """Return the key of a source's head."""
    return f"head/{source}"


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
    )


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
        found |= dict.fromkeys(_known(before, before.known.keys()))
        before = ResultLedger(source=after.source, epoch=after.epoch)
    found |= dict.fromkeys(_known(before, before.known.keys() - after.known.keys()))
    found |= _known(after, after.known.keys() - before.known.keys())
    if before.spans != after.spans:
        found |= dict.fromkeys(_spans(before)) | _spans(after)
    return MappingProxyType(found)


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
