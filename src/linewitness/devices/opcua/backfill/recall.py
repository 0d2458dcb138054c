"""Know what was yielded before: what the journal committed, and what is still on its way there."""

from collections.abc import Mapping, MutableMapping

from linewitness.base.clock import Stamp, to_rfc3339
from linewitness.devices.base import Memory, Observation, Seen, When


class Recall:
    """The journal's memory, overlaid with what sessions of this process yielded since.

    After a crash the overlay is gone, and so is what it was made from: the journal's memory alone is right.
    """

    def __init__(self, memory: Memory, overlay: MutableMapping[str, str | None]) -> None:
        """Read through `memory`; `overlay` is kept by the driver from session to session."""
        self._memory = memory
        self._overlay = overlay

    def note(self, observation: Observation) -> None:
        """Take over what a yielded observation wants remembered."""
        self._overlay.update(observation.remember)

    async def get(self, key: str) -> str | None:
        """Return the newest value, or None."""
        return self._overlay[key] if key in self._overlay else await self._memory.get(key)

    async def items(self, prefix: str) -> Mapping[str, str]:
        """Return the newest values whose keys start with `prefix`, sorted by key."""
        known: dict[str, str | None] = dict(await self._memory.items(prefix))
        known.update({key: value for key, value in self._overlay.items() if key.startswith(prefix)})
        return {key: value for key, value in sorted(known.items()) if value is not None}


def sign_of_life(device: str, session_id: str, heard: Stamp) -> Seen:
    """Return what the journal is to remember of a server that has nothing to say."""
    return Seen(
        device=device,
        session_id=session_id,
        received=heard,
        when=When(occurred_ns=heard.realtime_ns, occurred_from="gateway"),
        remember={"contact": to_rfc3339(heard.realtime_ns)},
    )
