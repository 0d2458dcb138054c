"""Every parser that reads what others wrote, as one function of bytes: it may refuse, never fail otherwise.

`python tests/fuzz/run.py NAME` fuzzes one of them with atheris, where that is installed.
"""

import contextlib
import io
import json
import struct
import tempfile
import zipfile
from base64 import b64decode
from functools import cache
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua import Variant
from asyncua.ua.ua_binary import variant_from_binary
from asyncua.ua.uaerrors import UaError
from nacl.signing import SigningKey
from seeds import VECTORS

from linewitness.anchors.signatures import verifies
from linewitness.base.clock import Stamp, SystemClock
from linewitness.base.compression.frames import BadFrame, stated_size, unpack
from linewitness.base.compression.records import unpack_record
from linewitness.base.errors import EvidenceError
from linewitness.config.problems import ConfigurationErrors
from linewitness.config.reading import read_bytes
from linewitness.devices.mt_sics import replies
from linewitness.devices.opcua.connection import hardening
from linewitness.devices.opcua.decoding import values
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.framing import Framer, FramingError
from linewitness.devices.open_protocol.wire.telegram import MalformedTelegram, parse
from linewitness.devices.scanner.framing import LineSplitter
from linewitness.evidence.format import canonical, keys, record, signed_run
from linewitness.evidence.format import note as notes
from linewitness.evidence.format.accusation import Accusation, open_accusation
from linewitness.evidence.format.canonical import NotCanonical
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import Note, Vkey
from linewitness.evidence.format.notice import RecordNotice, claimed_origin
from linewitness.evidence.format.proof import TlogProof, parse_consistency
from linewitness.evidence.format.reading import _read_quickly
from linewitness.evidence.package.archive import Package
from linewitness.evidence.policy.policy import HEADING, Policy
from linewitness.evidence.policy.revocation import open_revocation
from linewitness.evidence.policy.trust import read_trust
from linewitness.evidence.timestamps.der import BadDer
from linewitness.evidence.timestamps.timestamp import Authorities
from linewitness.evidence.verify.stream import verify
from linewitness.gateway.answers.statements import without_unsigned_line
from linewitness.gateway.continuity import HistoryContradiction
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.store import acceptance
from linewitness.store.inbox.quota import MAX_MESSAGE_BYTES
from linewitness.store.keys import Cosigner
from linewitness.store.witness import Witness
from linewitness.timesources import chrony, ntp
from linewitness.timesources.sample import SourceSilent
from linewitness.uplink.topics import Topics

STAMP = Stamp(0, 0)
LIMIT = 512
ORIGIN = "acme.example/ber-01/line-02/1"
LOG, STORE, CUSTOMER = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
LOG_VKEY = keys.log_vkey(ORIGIN, LOG)
STORE_VKEY = keys.cosigner_vkey("store.example", STORE)
STAMPED = [(VECTORS / f"checkpoint/{size}.checkpoint").read_bytes() for size in (7, 4)]
TOKEN = (VECTORS / "stamp/rsa.tsr").read_bytes()
ROOTS = tuple(map(b64decode, json.loads((VECTORS / "stamp/policy.json").read_text())["tsa_roots"]))
CUSTOMER_VKEY = Vkey("customer.example", notes.ED25519, bytes(CUSTOMER.verify_key))


def open_protocol(data: bytes) -> None:
    with contextlib.suppress(FramingError, MalformedTelegram):
        for raw in Framer().feed(data):
            decode(parse(raw))


def scanner(data: bytes) -> None:
    splitter = LineSplitter(terminator=None, limit=LIMIT)
    for start in range(0, len(data), 7):
        for line in splitter.feed(data[start : start + 7], STAMP):
            assert len(line.data) <= LIMIT
    splitter.end(STAMP)


def sics(data: bytes) -> None:
    for line in data.split(b"\n"):
        reply = replies.parse(line.decode("ascii", "backslashreplace"))
        if reply is not None:
            replies.weight(reply)
            replies.quoted(reply)


def note(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for reader in (Note.parse, Checkpoint.parse, Vkey.parse, RecordNotice.parse, claimed_origin):
        with contextlib.suppress(EvidenceError):
            reader(text)


def evidence(data: bytes) -> None:
    with contextlib.suppress(EvidenceError, NotCanonical):
        canonical.decode(data)
    with contextlib.suppress(EvidenceError):
        record.parse(data)
    assert verify(iter(data.split(b"\n"))).status in ("BROKEN", "INTACT")


def yaml(data: bytes) -> None:
    with contextlib.suppress(ConfigurationErrors):
        read_bytes(data, Path("line.yaml"))


def package(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(EvidenceError), Package.open(Path(file.name)) as opened:
            opened.statements()
            opened.manifest()
            for line in (*opened.records(), *opened.key_records()):
                assert len(line) <= canonical.MAX_BYTES + 2


def zipped(data: bytes) -> None:
    """Put the bytes under the names that a package has."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in ("manifest.json", "records.ndjson", "keys.ndjson", "receipts/1", "proofs/0.tlog-proof"):
            archive.writestr(name, data)
    package(held.getvalue())


def signed(text: str, name: str, key: SigningKey) -> str:
    """Sign whatever it is, so that what is fuzzed is what stands behind the signature."""
    return str(Note(text, (notes.sign(text, name=name, key=key),)))


def receipt(data: bytes) -> None:
    """Read an answer of the store: as it came, and with both signatures made good."""
    judge = ReceiptJudge(
        cast(Any, SimpleNamespace(log_vkey=LOG_VKEY)),
        cast(Any, None),
        store_vkey=STORE_VKEY,
        clock=SystemClock(),
    )
    head, _, text = data.decode("utf-8", "replace").rpartition("\n\n")
    both = Note(text, (notes.sign(text, name=ORIGIN, key=LOG),)).with_signature(
        notes.cosign(text, name="store.example", key=STORE, time_s=int.from_bytes(data[:8], "big"))
    )
    for payload in (data, f"{both}".encode(), f"{head}\n\n{both}".encode()):
        answer, _ = without_unsigned_line(payload)
        with contextlib.suppress(EvidenceError, HistoryContradiction):
            judge.read(answer)


def conflict(data: bytes) -> None:
    """Read what the store accuses a stream of: as it came, and with its signature made good."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(EvidenceError):
        open_accusation(text, STORE_VKEY)
    with contextlib.suppress(EvidenceError):
        read = Accusation.parse(Note.parse(text).text)
        note = str(read.sign(name="store.example", key=STORE, time_s=0))
        assert open_accusation(note, STORE_VKEY)[0].text == read.text


def policy(data: bytes) -> None:
    """Read what an auditor trusts, plain and behind the customer's signature."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(EvidenceError):
        read = Policy.parse(data)
        assert Policy.parse(read.canonical) == read
    for trusted in (data, signed(f"{HEADING}\n{text}", "customer.example", CUSTOMER).encode()):
        with contextlib.suppress(EvidenceError):
            read_trust(trusted)
        with contextlib.suppress(EvidenceError):
            read_trust(trusted, customer=CUSTOMER_VKEY)


def revocation(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for note_text in (text, signed(text, "customer.example", CUSTOMER)):
        with contextlib.suppress(EvidenceError):
            open_revocation(note_text, customer=CUSTOMER_VKEY, origin=ORIGIN)


def proof(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(EvidenceError):
        parse_consistency(text)
    with contextlib.suppress(EvidenceError):
        parsed = TlogProof.parse(text)
        assert TlogProof.parse(str(parsed)) == parsed
        parsed.check(b"", Checkpoint.parse(Note.parse(parsed.checkpoint).text))


def quick_reading(data: bytes) -> None:
    """The quick reader says of a record what the thorough one says, and takes nothing that it refuses."""
    quick = _read_quickly(data)
    if quick is not None:
        members = record.parse(data)
        assert quick.fields == record.fields_of(data, members)
        assert (quick.occurred_at, quick.unit) == (members["occurred_at"], record.unit_of(members))
        assert (quick.bound_us, quick.members) == (members["clock"].get("bound_us"), members)


@cache
def witness_of_the_process() -> Witness:
    folder = Path(tempfile.mkdtemp(prefix="linewitness-fuzz-"))
    return Witness(
        folder / "witness.db",
        Cosigner("witness.example", SigningKey(bytes([4]) * 32)),
        log_key_of={ORIGIN: LOG_VKEY}.get,
        clock=SystemClock(),
    )


def witness(data: bytes) -> None:
    """Send a request to the witness, as it came and with the log's signature made good."""
    head, _, text = data.partition(b"\n\n")
    good = signed(text.decode("utf-8", "replace").partition("\n\n")[0] + "\n", ORIGIN, LOG)
    for request in (data, head + b"\n\n" + good.encode()):
        reply = witness_of_the_process().add_checkpoint(request)
        assert reply.status in (200, 400, 403, 404, 409, 422)
        assert (reply.status == 200) == reply.body.startswith("\u2014 witness.example ")


def batch(data: bytes) -> None:
    """What a gateway sends to the store, before anything in it is believed."""
    for line in chain.from_iterable(acceptance.lines_of(data)):
        claim = acceptance.peek(line)
        assert claim is None or claim.sequence_no >= 0
        signed_run.vouched_for([line], stream=ORIGIN, event_key=LOG_VKEY)
    Topics.parse(data.decode("utf-8", "replace"))


def frame(data: bytes) -> None:
    """A compressed batch, and a record as it lies in the journal's file."""
    with contextlib.suppress(BadFrame):
        assert 0 < len(unpack(data, MAX_MESSAGE_BYTES)) == stated_size(data) <= MAX_MESSAGE_BYTES
    assert len(unpack_record(data)) <= max(len(data), 2**16)


def time_answer(data: bytes) -> None:
    """The answers of NTP servers and of chronyc."""
    sent = Stamp(1_772_352_000_000_000_000, 1_000_000_000)
    received = Stamp(1_772_352_000_020_000_000, 1_020_000_000)
    for reply in (data, data[:24] + b"unguessd" + data[32:]):
        with contextlib.suppress(SourceSilent):
            ntp.check(ntp.Exchange(b"unguessd", sent, reply, received), "ntp.example")
    with contextlib.suppress(SourceSilent):
        chrony.parse_tracking(data.decode("utf-8", "replace"), received, patience_s=600)


def stamp(data: bytes) -> None:
    """A time-stamp token and a root, read as if every signature were good, and with signatures checked."""
    for believing in (lambda _: True, verifies):
        for about in STAMPED:
            with contextlib.suppress(BadDer):
                Authorities(ROOTS, believing).open(data, about)
        with contextlib.suppress(BadDer):
            Authorities((data,), believing).open(TOKEN, STAMPED[0])


def variant_of(data: bytes) -> Variant | None:
    """Decode as the library does within our bounds; what it cannot decode ends the connection."""
    hardening.harden()
    try:
        return variant_from_binary(Buffer(data))
    except (UaError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        return None
    except (NotEnoughData, struct.error, RecursionError, MemoryError):
        return None


def opcua_value(data: bytes) -> None:
    """Whatever an OPC UA server's value is, it becomes text, and no more of it than a record can name."""
    value = values.plain(variant_of(data))
    flat = value if isinstance(value, dict) else {"": value}
    assert len(flat) <= values.MAX_FIELDS
    for path, scalar in flat.items():
        assert isinstance(path, str)
        assert scalar is None or isinstance(scalar, str | bool)


PARSERS = {
    each.__name__: each
    for each in (
        open_protocol,
        scanner,
        sics,
        note,
        evidence,
        yaml,
        package,
        zipped,
        receipt,
        conflict,
        policy,
        revocation,
        proof,
        quick_reading,
        witness,
        batch,
        frame,
        time_answer,
        stamp,
        opcua_value,
    )
}
