"""Stretches without capture as the views keep them: found by what verifiers find them by."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select

from linewitness.evidence.verify.capture_stretches import StretchFinder
from linewitness.evidence.verify.clock_rules import SILENCE_US
from linewitness.evidence.verify.signs import TELLING, CaptureSign, sign_of
from linewitness.evidence.verify.verdict import CaptureStretch
from linewitness.store.database import view_tables as views


def signs_in(before: dict[str, Any] | None, records: Iterable[dict[str, Any]]) -> list[CaptureSign]:
    """Return the signs that matter in consecutive parsed records; `before` is the one before them.

    A record matters that tells something or ends a silence, and so does the one before it.
    """
    found: list[CaptureSign] = []
    for members in records:
        if before is None or _matters(before, members):
            if before is not None and (not found or found[-1].sequence_no < before["sequence_no"]):
                found.append(sign_of(before))
            found.append(sign_of(members))
        before = members
    return found


def _matters(before: dict[str, Any], members: dict[str, Any]) -> bool:
    if members["kind"] in TELLING:
        return True
    then, now = before["clock"], members["clock"]
    return bool(now["boot_id"] == then["boot_id"] and now["boottime_us"] - then["boottime_us"] > SILENCE_US)


class StoredStretches:
    """The stretches of one stream: those that ended are stored once, those that are open each time anew."""

    def __init__(self, tenant: str, stream_id: int) -> None:
        """Begin with a stream of which nothing was read."""
        self._place = {"tenant": tenant, "stream_id": stream_id}
        self._finder = StretchFinder()
        self._ended = 0
        self._newest = -1

    def load(self, connection: Connection) -> None:
        """Read the signs that are stored already."""
        signs = views.signs
        query = select(signs.c.sign).where(*self._mine(signs)).order_by(signs.c.seq)
        for text in connection.execute(query).scalars():
            self._ended += len(self._follow(_loaded(text)))

    def store(self, connection: Connection, found: Sequence[CaptureSign]) -> None:
        """Store what further signs say."""
        news = [sign for sign in found if sign.sequence_no > self._newest]
        if not news:
            return
        first, ended = self._ended, [stretch for sign in news for stretch in self._follow(sign)]
        self._ended += len(ended)
        self._finder.end()
        rows = [self._row(nr, stretch) for nr, stretch in enumerate((*ended, *self._finder.drain()), first)]
        gaps = views.gaps
        connection.execute(delete(gaps).where(*self._mine(gaps), gaps.c.nr >= first))
        if rows:
            connection.execute(insert(gaps), rows)
        stored = [
            # What a tenant's own stream states says nothing of capture.
            {
                **self._place,
                "seq": sign.sequence_no,
                "sign": orjson.dumps([*sign._replace(tenant=None)]).decode(),
            }
            for sign in news
        ]
        connection.execute(insert(views.signs), stored)

    def _follow(self, sign: CaptureSign) -> tuple[CaptureStretch, ...]:
        self._newest = sign.sequence_no
        self._finder.follow([sign])
        return self._finder.drain()

    def _mine(self, table: Any) -> list[Any]:
        return [table.c[name] == value for name, value in self._place.items()]

    def _row(self, nr: int, stretch: CaptureStretch) -> dict[str, Any]:
        return {
            **self._place,
            "nr": nr,
            "subject": stretch.subject,
            "since": stretch.since,
            "until": stretch.until,
            "why": stretch.why,
            "first_seq": stretch.first,
            "last_seq": stretch.last,
        }


def _loaded(text: str) -> CaptureSign:
    sign = CaptureSign(*orjson.loads(text))
    return sign._replace(changes=tuple(sign.changes))
