"""The progress of the store's loops, as the watchdog reads it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from linewitness.base.watchdog import CARRY_S, COMMIT_S, CONNECT_S, Loop
from linewitness.store.database.errors import StoreFull, StoreUnready
from linewitness.uplink.takeover import TakeoverWatch


@dataclass(slots=True)
class Work:
    """One loop's work: how much of it is done, and whether there is some at hand."""

    done: int = 0
    at_hand: int = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Count one piece of work, from its beginning to its end."""
        self.at_hand += 1
        try:
            yield
        finally:
            self.at_hand -= 1
            self.done += 1

    @property
    def progress(self) -> int | None:
        """What changes as work goes on; None while there is nothing to do."""
        return self.done if self.at_hand else None


@dataclass(slots=True)
class StoreWork:
    """The store's loops, and its state in a sentence."""

    receiving: Work = field(default_factory=Work)
    judging: Work = field(default_factory=Work)
    answering: Work = field(default_factory=Work)
    connected: bool = False
    attempts: int = 0
    messages: int = 0
    #: What the last inspection found damaged in the database, or nothing.
    damage: str = ""
    #: Whether another client takes our client id at the broker.
    takeovers: TakeoverWatch = field(default_factory=TakeoverWatch)
    #: Why the database takes nothing now.
    unready: StoreUnready | None = None
    #: How often another program had written a stream before we did.
    overtaken: int = 0
    #: The database is there and of this version.
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    #: How far a database of an earlier version is, while it is brought to this one, or nothing.
    upgrade: str = ""
    #: Why the streams' custody is not taken, or nothing.
    custody: str = ""
    #: Another sentence for operators, such as a certificate that ends soon.
    remark: Callable[[], str] = str
    #: Whose messages are dropped now, and why, or nothing.
    drops: Callable[[], str] = str

    @property
    def connecting(self) -> int | None:
        """The attempts to find the broker; None while it is there, or the database is not ready."""
        idle = self.connected or self.unready is not None or not self.opened.is_set()
        return None if idle else self.attempts

    @property
    def sentence(self) -> str:
        """What `systemctl status` shows."""
        broker = "connected" if self.connected else "away"
        parts = (
            self._alarm,
            self.upgrade,
            f"broker {broker}, {self.messages} messages judged",
            self.takeovers.what,
            f"another worker was quicker: {self.overtaken} times" if self.overtaken else "",
            self.drops(),
            self.remark(),
            self.damage,
            self.custody,
        )
        return "; ".join(filter(None, parts))

    @property
    def _alarm(self) -> str:
        if self.unready is None:
            return ""
        name = "DISK FULL" if isinstance(self.unready, StoreFull) else "DATABASE AWAY"
        return f"{name}, no receipts: {self.unready.what}"

    def damaged(self, what: str) -> None:
        """Record what an inspection of the database found; the empty string means no damage."""
        self.damage = what

    def loops(self) -> Iterator[Loop]:
        """Yield the loops of the store: each step of them ends by itself long before its limit."""
        yield Loop("receive", CARRY_S, lambda: self.receiving.progress)
        yield Loop("judge and commit", COMMIT_S, lambda: self.judging.progress)
        yield Loop("answer", CARRY_S, lambda: self.answering.progress)
        yield Loop("connect", CONNECT_S, lambda: self.connecting)
