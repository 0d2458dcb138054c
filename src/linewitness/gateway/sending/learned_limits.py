"""Remember over restarts how large a message the broker takes, where its hang-ups have taught it."""

from collections.abc import Mapping
from typing import Final

import orjson

from linewitness.base.clock import NS_PER_S, Clock
from linewitness.gateway.sending.packet_limit import PacketLimit
from linewitness.journal.journal import Journal
from linewitness.journal.submission import Submission

_KEY: Final = "uplink/message_limits"
#: A limit that somebody has raised is found after so long: then larger messages are tried again.
REMEMBERED_S: Final = 86_400


class LearnedLimits:
    """The limits of one uplink, by name, and what the journal keeps of them."""

    def __init__(self, journal: Journal, limits: Mapping[str, PacketLimit], *, clock: Clock) -> None:
        """Take the limits as the YAML sets them."""
        self._journal = journal
        self._limits = limits
        self._clock = clock
        self._begun = {name: limit.most for name, limit in limits.items()}
        self._kept = dict(self._begun)

    async def recall(self) -> None:
        """Go on with what was learned before, unless it is old or the YAML sets another size since."""
        stored = await self._journal.read(lambda reader: reader.state_value(_KEY))
        if stored is None:
            return
        found = orjson.loads(stored)
        age_ns = self._clock.stamp().realtime_ns - found["at_ns"]
        if found["begun"] != self._begun or not 0 <= age_ns < REMEMBERED_S * NS_PER_S:
            return
        for name, limit in self._limits.items():
            limit.begin(found["most"][name])
        self._kept = dict(found["most"])

    def keep(self) -> None:
        """Store what was learned since; nothing waits for it."""
        now = {name: limit.most for name, limit in self._limits.items()}
        if now == self._kept:
            return
        self._kept = now
        learned = {"begun": self._begun, "most": now, "at_ns": self._clock.stamp().realtime_ns}
        self._journal.submit_all(Submission(state={_KEY: orjson.dumps(learned).decode()}))
