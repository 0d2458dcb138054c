"""Records but for their signatures, as columns: what is made of thousands a second is no object each."""

from linewitness.evidence.format.record import SIGNATURE_MEMBER_BYTES, Draft


class Drafts:
    """Consecutive records of one stream, as they are without a signature, and their hashes."""

    def __init__(self, last_hash: str) -> None:
        """Begin after the record with this hash."""
        self.data: list[bytes] = []
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
        self.data.append(draft.data())
        self.hashes.append(draft.record_hash.encode())

    def sizes(self, first: int) -> list[int]:
        """Return how many bytes each record from `first` on has with a signature."""
        return [len(data) + SIGNATURE_MEMBER_BYTES for data in self.data[first:]]

    def draft(self, position: int) -> Draft:
        """Return one of them by itself."""
        record_hash = self.hashes[position]
        # Quotes that are not escaped stand in no text: the member is found where it is, and once.
        head, _, rest = self.data[position].partition(b',"record_hash":"%b",' % record_hash)
        return Draft.of(head, rest, record_hash.decode())
