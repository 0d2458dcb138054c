"""Names of what was captured lately, so that a repeat is known as one after a crash too."""

from collections.abc import Mapping


class KnownNames:
    """A bounded set of names that is remembered key by key; the oldest give way."""

    def __init__(self, *, prefix: str, retained: int, remembered: Mapping[str, str]) -> None:
        """Start from what was committed under keys that begin with `prefix`."""
        self._prefix = prefix
        self._retained = retained
        found = sorted((int(text), key) for key, text in remembered.items() if key.startswith(prefix))
        self._names = {key.removeprefix(prefix): None for _, key in found}
        self._count = found[-1][0] if found else 0

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def count(self) -> int:
        """Return how many names were ever added: the number of the last one, which no other has."""
        return self._count

    def add(self, name: str) -> Mapping[str, str | None]:
        """Add a name and return what must be remembered with it."""
        self._count += 1
        self._names[name] = None
        changes: dict[str, str | None] = {self._prefix + name: str(self._count)}
        while len(self._names) > self._retained:
            oldest = next(iter(self._names))
            del self._names[oldest]
            changes[self._prefix + oldest] = None
        return changes
