"""Write one package of what several streams have of a unit: a selection of each, and one report of all."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from heapq import merge
from typing import IO, Any, Final

from linewitness.evidence.format.record import unit_of
from linewitness.evidence.history.trace import ComponentTrace
from linewitness.evidence.package.build import CannotPack, SelectionParts, selection_contents, verifier_page
from linewitness.evidence.package.report import build_report
from linewitness.evidence.package.request import PackageRequest
from linewitness.evidence.package.spool import RecordSpool
from linewitness.evidence.package.write import write_streams
from linewitness.evidence.progress import Stage, silent

#: As many streams as a package has folders for.
MAX_STREAMS: Final = 999


@dataclass(frozen=True, slots=True)
class StreamsRequest:
    """What is packed of each of several streams; all requests ask for the same.

    `held` makes the receipt over a stream that is packed, by which its store says what it holds now.
    """

    requests: Sequence[PackageRequest]
    held: Callable[[str], str | None]

    def write(self, target: IO[bytes], *, stage: Stage = silent) -> tuple[int, int]:
        """Write the package; return the number of its records and of its streams.

        What lies in one stream only is written as a package of that one. CannotPack says what is missing.
        """
        with ExitStack() as open_spools:
            chosen: list[tuple[PackageRequest, RecordSpool]] = []
            for request in self.requests:
                spool = open_spools.enter_context(RecordSpool())
                if self._collect(request, spool, stage):
                    held = self.held(request.holdings.origin)
                    chosen.append((replace(request, held=held), spool))
            if not chosen:
                raise CannotPack(
                    "there are no such records in any stream",
                    hint="check the unit, batch, component or times",
                )
            if len(chosen) == 1:
                return chosen[0][0].pack(target, chosen[0][1], stage), 1
            if len(chosen) > MAX_STREAMS:
                raise CannotPack(
                    f"these are {len(chosen)} streams, more than {MAX_STREAMS}", hint="ask for fewer"
                )
            return _write(target, chosen, stage), len(chosen)

    def _collect(self, request: PackageRequest, spool: RecordSpool, stage: Stage) -> bool:
        total = request.holdings.size if request.query.searches else None
        with stage("records looked at", total) as progress:
            trace: ComponentTrace = request.query.collect(request.holdings, spool, progress=progress)
        if spool and request.traced:
            request.traced(trace)
        return len(spool) > 0


def _write(target: IO[bytes], chosen: list[tuple[PackageRequest, RecordSpool]], stage: Stage) -> int:
    parts = [_parts_of(request, spool, stage) for request, spool in chosen]
    query, created_at = chosen[0][0].query, chosen[0][0].created_at
    title = f"{query.title}, of {len(chosen)} streams"
    report = build_report(
        _in_time([spool for _, spool in chosen]),
        title=title,
        created_at=created_at,
        verdicts={
            request.holdings.origin: part["label"].verdict
            for (request, _), part in zip(chosen, parts, strict=True)
        },
    )
    with stage("streams packed", None):
        return write_streams(
            target,
            [selection_contents(**part) for part in parts],
            created_at=created_at,
            note=title,
            asked=query.asked,
            documents={"report.html": report, "verify.html": verifier_page()},
        )


def _parts_of(request: PackageRequest, spool: RecordSpool, stage: Stage) -> SelectionParts:
    try:
        parts = request.parts_of(spool, stage)
    except CannotPack as error:
        raise CannotPack(f"{request.holdings.origin}: {error.what}", hint=error.hint) from None
    return parts | {"label": replace(parts["label"], asked=_asked_here(request, spool))}


def _asked_here(request: PackageRequest, spool: RecordSpool) -> dict[str, Any]:
    """Return what was asked of one stream: of the units those that have records in it."""
    here = {unit_of(json.loads(data)) for _, data in spool}
    return request.query.asked | {"units": [unit for unit in request.query.units if unit in here]}


def _in_time(spools: Iterable[RecordSpool]) -> Iterator[dict[str, Any]]:
    """Yield the parsed records of all streams: each stream in its order, and among them by time."""
    streams = ((json.loads(data) for _, data in spool) for spool in spools)
    return merge(*streams, key=lambda members: members["occurred_at"])
