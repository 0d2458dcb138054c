"""The store's ledger with its database, and shorthands for what a gateway sends to it."""

from pathlib import Path

from nacl.signing import SigningKey

from linewitness.base.clock import Stamp
from linewitness.evidence.format.accusation import Accusation, open_accusation
from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import Enrolment, enroll
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from support.databases import url_of
from support.fake_gateway import FakeGateway

NOW_NS = 1_800_000_000_000_000_000


class FakeClock:
    boot_id = "b"

    def __init__(self) -> None:
        self.ns = NOW_NS

    def stamp(self) -> Stamp:
        return Stamp(self.ns, self.ns - NOW_NS + 1)


class Store:
    """A ledger with its database, and shorthands for what a gateway sends."""

    def __init__(self, path: Path) -> None:
        self.url = url_of(f"{path}/store.db")
        self.clock = FakeClock()
        self.cosigner = Cosigner("store.example", SigningKey(bytes(range(32))))
        self.open()

    def open(self) -> None:
        self.database = Database(self.url)
        self.database.create()
        self.ledger = StoreLedger(database=self.database, cosigner=self.cosigner, clock=self.clock)

    def restart(self) -> None:
        self.database.close()
        self.open()

    def enroll(self, gateway: FakeGateway) -> Enrolment:
        return enroll(
            self.database,
            clock=self.clock,
            tenant=gateway.tenant,
            gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey),
            record0_hash=gateway.record0_hash,
        )

    def send(self, gateway: FakeGateway, first: int = 0, last: int | None = None) -> list[bytes]:
        return self.process((gateway.topics.records, gateway.batch(first, last)))

    def check(self, gateway: FakeGateway, size: int | None = None) -> list[bytes]:
        return self.process((gateway.topics.checkpoint, gateway.checkpoint(size)))

    def process(self, *messages: tuple[str, bytes]) -> list[bytes]:
        return [answer.payload for answer in self.ledger.process(messages)]

    def held(self) -> list[bytes]:
        return [record.data for record in reports.read_records(self.database)]


def accused(store: Store, answer: bytes) -> Accusation:
    """Return what the store accuses a gateway of, signed in this second."""
    accusation, time_s = open_accusation(answer.decode(), store.cosigner.vkey)
    assert time_s == store.clock.ns // 10**9
    return accusation
