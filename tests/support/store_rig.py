"""What a gateway sends to an audit store that is about to fail, and the judgement of what is left of it."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ConfigurationError, LinewitnessError
from linewitness.base.secrets import Secret
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.note import Note
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.inspection import inspect
from linewitness.store.keys import Cosigner, create_key
from linewitness.store.ledger import StoreLedger
from linewitness.store.reports import read_receipts, read_records
from linewitness_selftest.outcome import FaultOutcome
from support.fake_gateway import FakeGateway

SIZE, STEP = 560, 28
NAME = "store.example"
CLOCK = SystemClock()


class Work:
    """What a gateway sends: records in batches, with key rotations, and a checkpoint after each batch."""

    def __init__(self, place: Path) -> None:
        self.gateway = gateway = FakeGateway()
        while gateway.size < SIZE:
            gateway.append(unit=f"SN-{gateway.size // 4}")
            if gateway.size % 200 == 0:
                gateway.rotate()
        self.enrolment = {
            "tenant": gateway.tenant,
            "gateway": gateway.gateway,
            "log_vkey": str(gateway.log_vkey),
            "record0_hash": gateway.record0_hash,
        }
        self.messages = [
            message
            for last in range(STEP, SIZE + 1, STEP)
            for message in (
                (gateway.topics.records, gateway.batch(last - STEP, last)),
                (gateway.topics.checkpoint, gateway.checkpoint(last)),
            )
        ]
        self.file = place / "messages.json"
        encoded = [(topic, b64encode(payload).decode()) for topic, payload in self.messages]
        self.file.write_text(json.dumps({"enrolment": self.enrolment, "messages": encoded}))


def told(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Return what a store had said after each line, the first time before any."""
    so_far: dict[str, Any] = {"receipts": []}
    yield so_far
    for line in lines:
        ((what, value),) = json.loads(line).items()
        more = {"receipts": [*so_far["receipts"], value]} if what == "receipt" else {what: value}
        so_far = so_far | more
        yield so_far


async def judge(site: Path, said: dict[str, Any], work: Work) -> tuple[int, int, str]:
    """Return (lost, twice, what is wrong) of a store that starts on what is left and is sent all again."""
    database = Database(f"sqlite:///{site}/data/store.db")
    try:
        cosigner = _begun(site, database, said)
        database.check()
        if "key" in said and str(cosigner.vkey) != said["key"]:
            return SIZE, 0, "another key"
        enroll(database, clock=CLOCK, **work.enrolment)
        kept = read_receipts(database, work.gateway.origin)
        lost = sum(1 for receipt in said["receipts"] if receipt not in kept)
        promised = max((_size(receipt) for receipt in said["receipts"]), default=0)
        lost += max(0, promised - sum(1 for _ in read_records(database)))
        wrong = await inspect(database, store_key=cosigner.vkey)
        ledger = StoreLedger(database=database, cosigner=cosigner, clock=CLOCK)
        answers = [answer for message in work.messages for answer in ledger.process([message])]
        after = [record.data for record in read_records(database)]
        wrong += await inspect(database, store_key=cosigner.vkey)
    except LinewitnessError as error:
        return len(said["receipts"]), 0, f"it does not start: {error}"
    finally:
        database.close()
    if after != work.gateway.records:
        wrong.append("the gateway's records are not all there, each once")
    if _size(answers[-1].payload.decode()) != SIZE:
        wrong.append("no receipt for what was sent again")
    return lost, len(after) - len(set(after)), "; ".join(wrong)


def _begun(site: Path, database: Database, said: dict[str, Any]) -> Cosigner:
    """Do what a person does where `store init` did not come to its end: the same again."""
    file = site / "keys" / "store.key"
    if "key" in said:
        return Cosigner.load(NAME, Secret(file=file))
    (site / "data").mkdir(exist_ok=True)
    database.create()
    try:
        return Cosigner.load(NAME, Secret(file=file))
    except ConfigurationError:
        file.unlink(missing_ok=True)
        return create_key(NAME, file)


def _size(note: str) -> int:
    return Checkpoint.parse(Note.parse(note).text).size


def outcome(fault: str, found: Sequence[tuple[int, int, str]], note: str) -> FaultOutcome:
    """Return the account of what `judge` said of each fault; the note names the first bad ones."""
    bad = [wrong or "lost" for lost, duplicated, wrong in found if lost or duplicated or wrong]
    return FaultOutcome(
        fault=fault,
        injected=len(found),
        survived=len(found) - len(bad),
        lost=sum(lost for lost, _, _ in found),
        duplicated=sum(duplicated for _, duplicated, _ in found),
        note="; ".join([note, *bad[:3]]),
    )
