"""The stored state of drivers, read back from the journal."""

from collections.abc import Mapping

from linewitness.journal.journal import Journal


class JournalMemory:
    """The memory of one device: keys of the driver's own, as last committed."""

    def __init__(self, journal: Journal, device: str) -> None:
        """Keep to the keys of `device`."""
        self._journal = journal
        self._prefix = f"device/{device}/"

    async def get(self, key: str) -> str | None:
        """Return the committed value, or None."""
        return await self._journal.read(lambda reader: reader.state_value(self._prefix + key))

    async def items(self, prefix: str) -> Mapping[str, str]:
        """Return the committed values whose keys start with `prefix`, sorted by key."""
        found = await self._journal.read(lambda reader: reader.state(self._prefix + prefix))
        return {key.removeprefix(self._prefix): value for key, value in found.items()}
