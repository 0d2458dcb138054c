"""Records but for their signatures, as columns: what is made of thousands a second is no object each."""

from linewitness.evidence.format.record import PROOF_BYTES, Draft


class Drafts:
    """Consecutive records of one stream; each is what `Draft` says of one."""

    def __init__(self, last_hash: str) -> None:
        """Begin after the record with this hash."""
        self.heads: list[bytes] = []
        self.rests: list[bytes] = []
        self.hashes: list[bytes] = []
        self._before = last_hash.encode()

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.hashes)

    @property
    def last_hash(self) -> bytes:
        """The hash of the newest record."""
        return self.hashes[-1] if self.hashes else self._before

    def add(self, draft: Draft) -> None:
        """Append one record."""
        self.heads.append(draft.head)
        self.rests.append(draft.rest)
        self.hashes.append(draft.record_hash.encode())

    def sizes(self, first: int) -> list[int]:
        """Return how many bytes each record from `first` on has with a signature."""
        pairs = zip(self.heads[first:], self.rests[first:], strict=True)
        return [len(head) + len(rest) + PROOF_BYTES for head, rest in pairs]

    def unsigned(self, first: int) -> list[bytes]:
        """Return the exact bytes that the records from `first` on have without a signature."""
        rows = zip(self.heads[first:], self.hashes[first:], self.rests[first:], strict=True)
        return [b'%b,"record_hash":"%b",%b' % row for row in rows]

    def draft(self, position: int) -> Draft:
        """Return one of them by itself."""
        return Draft.of(self.heads[position], self.rests[position], self.hashes[position].decode())
