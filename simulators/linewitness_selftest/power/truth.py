"""What a process at work on a journal says to be durable, and the fixed things that a judge must know."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import orjson
from nacl.signing import SigningKey

from linewitness.evidence.format.keys import cosigner_vkey
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.journal.file import JournalFile
from linewitness.journal.keyring import Keyring
from linewitness.journal.reader import JournalReader
from linewitness.records.builder import StreamIdentity

ORIGIN: Final = "selftest.invalid/power/cut"
STORE_NAME: Final = "store.selftest.invalid"
#: The keys of a store and of a wrapping that exist in selftests only.
STORE_KEY: Final = SigningKey(b"linewitness selftest: the store.")
WRAPPING_KEY: Final = b"linewitness selftest: a wrapping"
#: Before the number of a result in the id of its resource.
RESULT: Final = "selftest/"
#: The keys of the state: the number of the last result, and one that is deleted now and then.
LAST: Final = "device/selftest/last"
PASSING: Final = "device/selftest/passing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is durable, as told; `begun` where an operation has begun and all else is as before.

    `first` to `results` are the numbers of the results in this generation; `passing` what the state that is
    deleted now and then holds; `retired` the ids of event keys that are erased.
    """

    operation: str
    begun: bool
    generation: int = 0
    size: int = 0
    record_hash: str = ""
    root: str = ""
    first: int = 0
    results: int = 0
    passing: str | None = None
    receipt: int = 0
    pruned: int = 0
    key: str = ""
    retired: tuple[str, ...] = ()
    wrapped: bool = False

    def to_line(self) -> bytes:
        """Return the line that says it."""
        return orjson.dumps(asdict(self), option=orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def of_line(cls, line: str) -> Self:
        """Read the line back."""
        return cls.of_members(orjson.loads(line))

    @classmethod
    def of_members(cls, members: dict[str, Any]) -> Self:
        """Take what JSON makes of it."""
        return cls(**(members | {"retired": tuple(members["retired"])}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldDurable:
    """What was said around a cut: `last` before it, `doing` the operation then, `next` what is said next.

    `last` is None until `init` has ended, `next` where nothing more is said.
    """

    last: Truth | None
    doing: Truth
    next: Truth | None

    def found_in(self, file: JournalFile, reader: JournalReader) -> Truth | None:
        """Return which of the two a journal is in, or None."""
        head, receipt = file.head, reader.newest_receipt()
        state = (head.size, head.record_hash, head.root.hex(), receipt[0] if receipt else 0)
        for truth in (self.last, self.next):
            if truth and state == (truth.size, truth.record_hash, truth.root, truth.receipt):
                return truth
        return None

    def to_line(self) -> str:
        """Return it for another process."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def of_line(cls, line: str) -> Self:
        """Read it back."""
        told = orjson.loads(line)
        return cls(
            last=told["last"] and Truth.of_members(told["last"]),
            doing=Truth.of_members(told["doing"]),
            next=told["next"] and Truth.of_members(told["next"]),
        )


def identity(generation: int) -> StreamIdentity:
    """Return whose records a generation of the test's stream holds."""
    return StreamIdentity(stream=f"{ORIGIN}/{generation}", tenant="selftest", plant="power", line="cut")


def keyring(directory: Path, *, wrapped: bool) -> Keyring:
    """Return the keyring of the test's journal."""
    return Keyring(directory, wrapping_key=WRAPPING_KEY if wrapped else None)


def policy(reader: JournalReader) -> Policy:
    """Return the policy by which what is left of a pruned journal is verified."""
    return Policy(
        origin=reader.identity.stream,
        record_0=reader.record_0_hash,
        log_key=reader.log_vkey,
        gateway_party="the gateway",
        attesters=(Attester("the store", "store", cosigner_vkey(STORE_NAME, STORE_KEY)),),
    )


def raw_of(number: int) -> tuple[str, bytes]:
    """Return the device's own bytes of a result, under their hash."""
    data = f"result {number};".encode() * 20
    return sha256(data).hexdigest(), data
