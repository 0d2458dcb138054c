"""Make the package of one unit of a journal, as a plant would, and read all that it shows."""

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linewitness.evidence.format import merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, new_key
from linewitness.evidence.format.note import cosign
from linewitness.evidence.package.query import RecordQuery
from linewitness.evidence.package.request import PackageRequest
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.journal.attestations import StoredReceipt
from linewitness.journal.holdings import JournalHoldings
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import reopen
from support.zips import unzipped

STORE = new_key()
AT = "2026-03-01T08:00:00.000Z"


def policy_of(directory: Path) -> Policy:
    """Return a policy that names the store."""
    with JournalReader(directory) as reader:
        return Policy(
            origin=reader.identity.stream,
            record_0=reader.record_0_hash,
            log_key=reader.log_vkey,
            gateway_party="the plant",
            attesters=(Attester("the customer", "store", cosigner_vkey("store.example", STORE)),),
        )


def attest(directory: Path) -> None:
    """Let a store cosign all that a journal holds."""
    with JournalReader(directory) as reader:
        size, origin = reader.size(), reader.identity.stream
        root = merkle.root_at(size, reader.tree().subtree)
    note = Checkpoint(origin, size, root).sign(Keyring(directory).load(LOG_KEY))
    signed = note.with_signature(cosign(note.text, name="store.example", key=STORE, time_s=4_000_000_000))
    file = reopen(directory, ManualClock())
    file.append([Submission(receipt=StoredReceipt(size, str(signed), AT))])
    file.close()


def pack(directory: Path, query: RecordQuery, target: Path, *, raw: bool = False) -> Path:
    """Write a package, with what the devices sent or without."""
    with JournalReader(directory) as reader, target.open("wb") as file:
        holdings = JournalHoldings(reader)
        raws = holdings.raw if raw else None
        PackageRequest(holdings=holdings, query=query, created_at=AT, raws=raws).write(file)
    return target


def pack_unit(directory: Path, unit: str, target: Path, *, raw: bool = False) -> Path:
    """Write the package of one unit."""
    return pack(directory, RecordQuery(units=(unit,)), target, raw=raw)


@dataclass(frozen=True)
class Shown:
    """All that a package shows: its bytes, and each text, number, hex and base64 value in them."""

    data: bytes
    tokens: frozenset[bytes]

    @classmethod
    def by(cls, package: Path) -> "Shown":
        members = unzipped(package)
        # The page is the same in all packages.
        data = b"\n".join(
            name.encode() + b"\n" + text for name, text in members.items() if name != "verify.html"
        )
        found = set(re.findall(rb"[0-9A-Za-z+/=_.:@-]+", data)) | set(re.findall(rb"[0-9a-fA-F]+", data))
        for name in ("records.ndjson", "keys.ndjson", "raw.ndjson"):
            for line in members.get(name, b"").splitlines():
                found |= {text.encode() for text in _texts(json.loads(line))}
        decoded = {value for token in found for value in _decoded(token)}
        return cls(b"\n".join((data, *decoded)), frozenset(found | decoded))

    @property
    def hex_values(self) -> set[str]:
        """All values that may be a hash or the first part of one, in hex."""
        digits = {token.decode().lower() for token in self.tokens if re.fullmatch(rb"[0-9a-fA-F]+", token)}
        return {value for value in digits | {token.hex() for token in self.tokens} if len(value) >= _DIGITS}


#: A part of a hash that has less digits is taken for an accident.
_DIGITS = 12


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
    else:
        yield str(value)


def _decoded(token: bytes) -> Iterator[bytes]:
    for text in (token, token.rpartition(b":")[2]):
        if len(text) >= 4 and len(text) % 2 == 0:
            with contextlib.suppress(binascii.Error):
                yield binascii.unhexlify(text)
        if len(text) >= 4 and len(text) % 4 == 0:
            with contextlib.suppress(binascii.Error):
                yield base64.b64decode(text, validate=True)
