"""Cut the audit store's power with unsynchronised writes dropped: what it gave a receipt for, it has."""

import json
import random
import shutil
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from fake_gateway import FakeGateway
from linewitness.clock import SystemClock
from linewitness.errors import LinewitnessError
from linewitness.evidence.checkpoint import Checkpoint
from linewitness.evidence.note import Note
from linewitness.secrets import Secret
from linewitness.selftest.outcome import Outcome
from linewitness.selftest.power.cuts import check_complete, each_with_nothing
from linewitness.selftest.power.disk import Disk, Rule
from linewitness.selftest.power.image import Cut, Grown, Survives, image_after
from linewitness.selftest.power.recording import record
from linewitness.selftest.power.steps import Said
from linewitness.store.database import Database, enroll
from linewitness.store.inspection import inspect
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import Ledger
from linewitness.store.reports import read_receipts, read_records

WORKLOAD = Path(__file__).with_name("store_workload.py")
SIZE, STEP = 560, 28
FEW, MANY = 60, 600
CLOCK = SystemClock()


class Work:
    """What a gateway sends: a rotation, records in batches, a checkpoint after each."""

    def __init__(self, place):
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

    async def recorded(self, place, *weakness):
        site = place / "site"
        site.mkdir()
        try:
            recording = await record(
                site, (sys.executable, str(WORKLOAD), str(site), str(self.file), *weakness)
            )
            check_complete(recording)
        finally:
            shutil.rmtree(site)
        return recording


def told_by(steps):
    """Return after each step what the store had said by then."""
    told, found = {"receipts": []}, []
    for step in steps:
        if isinstance(step, Said):
            ((what, value),) = json.loads(step.line).items()
            told = told | ({"receipts": [*told["receipts"], value]} if what == "receipt" else {what: value})
        found.append(told)
    return found


async def judged(recording, cuts, work, place):
    """Return (lost, duplicated, sentence) of each cut."""
    waiting = {}
    for cut in cuts:
        waiting.setdefault(cut.after, []).append(cut)
    disks, found = {rule: Disk(rule) for rule in Rule}, []
    for number, (step, told) in enumerate(zip(recording.steps, told_by(recording.steps), strict=True)):
        for disk in disks.values():
            disk.take(number, step)
        for cut in waiting.get(number, ()):
            image, survived = image_after(disks[cut.rule], cut)
            image.write(place)
            lost, duplicated, wrong = await judge(place, told, work)
            found.append((lost, duplicated, f"{wrong} {cut} [{survived}]" if wrong else ""))
            shutil.rmtree(place)
    return found


async def judge(site, told, work):
    """Start the store on what the cut left, compare it with what was told, and let all be sent again."""
    if "key" not in told:
        return 0, 0, ""  # nobody relies on anything yet
    database = Database(f"sqlite:///{site}/data/store.db")
    try:
        cosigner = Cosigner.load("store.example", Secret(file=site / "keys" / "store.key"))
        database.check()
        if str(cosigner.vkey) != told["key"]:
            return SIZE, 0, "another key"
        enroll(database, clock=CLOCK, **work.enrolment)
        kept = read_receipts(database, work.gateway.origin)
        lost = sum(1 for receipt in told["receipts"] if receipt not in kept)
        promised = Checkpoint.parse(Note.parse(told["receipts"][-1]).text).size if told["receipts"] else 0
        held = [record.data for record in read_records(database)]
        lost += max(0, promised - len(held))
        damage = await inspect(database, store_key=cosigner.vkey)
        ledger = Ledger(database=database, cosigner=cosigner, clock=CLOCK)
        answers = [answer for message in work.messages for answer in ledger.process([message])]
        after = [record.data for record in read_records(database)]
        damage += await inspect(database, store_key=cosigner.vkey)
    except LinewitnessError as error:
        return len(told["receipts"]), 0, f"it does not start: {error}"
    finally:
        database.close()
    wrong = list(damage)
    if after != work.gateway.records:
        wrong.append("the gateway's records are not all there, each once")
    if Checkpoint.parse(Note.parse(answers[-1].payload.decode()).text).size != SIZE:
        wrong.append("no receipt for what was sent again")
    return lost, len(after) - len(set(after)), "; ".join(wrong)


def by_chance(recording, count, seed):
    chance = random.Random(seed)
    return [
        Cut(
            after=chance.randrange(len(recording.steps)),
            rule=chance.choice(list(Rule)),
            survives=chance.choice(list(Survives)),
            grown=chance.choice(list(Grown)),
            seed=chance.getrandbits(32),
        )
        for _ in range(count)
    ]


def outcome(found, note):
    bad = [sentence or "lost" for lost, duplicated, sentence in found if lost or duplicated or sentence]
    return Outcome(
        fault="power cut of the store, unsynchronised writes dropped",
        injected=len(found),
        survived=len(found) - len(bad),
        lost=sum(lost for lost, _, _ in found),
        duplicated=sum(duplicated for _, duplicated, _ in found),
        note="; ".join([note, *bad[:3]]),
    )


@pytest.mark.timeout(120)
async def test_power_cut_of_the_store_loses_nothing_that_has_a_receipt(tmp_path, account):
    work = Work(tmp_path)
    recording = await work.recorded(tmp_path)
    found = await judged(recording, by_chance(recording, FEW, 1), work, tmp_path / "image")
    account(outcome(found, f"{len(recording.steps)} calls recorded"))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_many_power_cuts_of_the_store_lose_nothing_that_has_a_receipt(tmp_path, account):
    work = Work(tmp_path)
    recording = await work.recorded(tmp_path)
    cuts = by_chance(recording, MANY, 2) + each_with_nothing(recording)
    found = await judged(recording, cuts, work, tmp_path / "image")
    account(outcome(found, f"{len(recording.steps)} calls recorded, and each with nothing that survives"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("weakness", ["normal", "folders"])
async def test_power_cut_finds_out_a_store_that_does_not_synchronise(tmp_path, weakness):
    work = Work(tmp_path)
    recording = await work.recorded(tmp_path, weakness)
    cuts = [
        Cut(after=number, rule=Rule.STRICT, survives=Survives.NONE)
        for number in range(0, len(recording.steps), 1 + len(recording.steps) // FEW)
    ]
    found = await judged(recording, cuts, work, tmp_path / "image")
    assert sum(lost for lost, _, _ in found) > 0
