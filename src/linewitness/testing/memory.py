"""What a journal would remember for a driver, without a journal."""

from collections.abc import Mapping

from linewitness.devices.base import Observation


class CommittedMemory:
    """A driver's memory in a test: `commit` stands for the journal's commit."""

    def __init__(self) -> None:
        """Begin with nothing committed."""
        self._values: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        """Return the committed value, or None."""
        return self._values.get(key)

    async def items(self, prefix: str) -> Mapping[str, str]:
        """Return the committed values whose keys start with `prefix`, sorted by key."""
        return {key: text for key, text in sorted(self._values.items()) if key.startswith(prefix)}

    def commit(self, observation: Observation) -> None:
        """Take over what an observation asks to have remembered."""
        for key, text in observation.remember.items():
            if text is None:
                self._values.pop(key, None)
            else:
                self._values[key] = text
