"""Collect what an inspection finds of each stream, to be said in the tenant's own stream."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from linewitness.base.errors import LinewitnessError
from linewitness.evidence.format.merkle import root_at
from linewitness.store.database.enrolments import Enrolment
from linewitness.store.tree import StoreTree


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedStream:
    """What was found of the first `size` records; `root` is None where they cannot be read."""

    tenant: str
    origin: str
    size: int
    root: bytes | None
    damage: str


@dataclass(slots=True)
class InspectedStreams:
    """The streams that were looked through, one after the other."""

    found: list[InspectedStream] = field(default_factory=list)
    _damage: str = ""

    def noted(self, look: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
        """Return the same look; what it finds first of a stream is kept."""

        async def looked() -> str:
            try:
                damage = await look()
            except LinewitnessError as error:
                self._damage = self._damage or error.what
                raise
            self._damage = self._damage or damage
            return damage

        return looked

    def conclude(self, enrolment: Enrolment, size: int, connection: Connection) -> str:
        """End a stream, of which all is looked at; the next one begins."""
        damage, self._damage = self._damage, ""
        root = None
        if size:
            try:
                root = root_at(size, StoreTree(connection, enrolment.stream_id).subtree)
            except LinewitnessError as error:
                damage = damage or error.what
        if size or damage:
            self.found.append(
                InspectedStream(
                    tenant=enrolment.tenant, origin=enrolment.origin, size=size, root=root, damage=damage
                )
            )
        return ""
