"""A store in a file with something in each of its tables, and the store in PostgreSQL that takes it over."""

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from linewitness.base.clock import Clock, Stamp, SystemClock
from linewitness.cli.sources import load_store
from linewitness.evidence.format.notice import RecordNotice
from linewitness.store.ahead.reports import read_heads, read_notice_refusals, read_notices
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.database.tenants import tenants_of
from linewitness.store.ended.reports import read_handed_over, read_handovers
from linewitness.store.ledger import StoreLedger
from linewitness.store.reports import (
    read_conflicts,
    read_receipts,
    read_records,
    read_refusals,
    read_streams,
)
from linewitness.store.status import status_lines
from linewitness.store.tenant.custody import take_custody
from linewitness.store.tenant.streams import streams_of
from support.clocks import ManualClock
from support.ended_streams import restored
from support.fake_gateway import FakeGateway
from support.lines import call

#: Months in which records were accepted, in seconds.
MONTHS: Final = (1_788_000_000, 1_793_500_000, 1_800_000_000)


@dataclass
class _At:
    """A clock that stands at a second."""

    second: int
    boot_id: str = "b"

    def stamp(self) -> Stamp:
        return Stamp(self.second * 10**9, self.second * 10**9)


class OlderStore:
    """A store in SQLite that has been at work for months, for two tenants with equal names."""

    def __init__(self, folder: Path, clock: ManualClock, *, size: int) -> None:
        """Let gateways send `size` records each, and a stream end and be handed over."""
        self.folder = folder
        line = restored(folder, clock)
        line.hand_over()
        line.take_over()
        self.yaml = line.store_file
        # Seen from the YAML: the store is copied with its folder.
        self.yaml.write_text(self.yaml.read_text().replace(f"sqlite:///{folder}/", "sqlite:///"))
        self.file = folder / "store.db"
        self.cosigner = line.cosigner
        #: The gateways with some records that the store does not have yet.
        self.ahead: dict[str, FakeGateway] = {}
        self.gateways = [
            FakeGateway("acme.example/ber-01/line-09/1", tenant=tenant, seed=tenant)
            for tenant in ("acme", "other")
        ]
        for gateway in self.gateways:
            self._write(gateway, size)
            self.work(gateway)
        self._keep_books()

    def _keep_books(self) -> None:
        """Let the store write of itself what it writes in a tenant's own stream."""
        ended = FakeGateway("acme.example/ber-01/line-11/1", gateway="ber-11", seed="ended")
        database = self.open()
        self.enroll(database, ended)
        for command in (
            ("retire", "--stream", ended.origin, "--reason", "the line is gone"),
            ("retention", "--days", "3650", "--reason", "the contract"),
        ):
            done = call("store", command[0], self.yaml, "--tenant", "acme", *command[1:])
            assert done.exit_code == 0, (done.output, done.exception)
        take_custody(streams_of(load_store(self.yaml), database, SystemClock()), at_once=True)
        database.close()

    def copied_to(self, folder: Path) -> "OlderStore":
        """Return a copy of it in a new folder."""
        shutil.copytree(self.folder, folder)
        other = copy.deepcopy(self)
        other.folder, other.file, other.yaml = folder, folder / self.file.name, folder / self.yaml.name
        return other

    def open(self) -> Database:
        """Open its database."""
        return Database(f"sqlite:///{self.file}")

    def ledger(self, database: Database, clock: Clock | None = None) -> StoreLedger:
        """Return a ledger with this store's key, in a database of either kind."""
        return StoreLedger(database=database, cosigner=self.cosigner, clock=clock or _At(MONTHS[-1]))

    def enroll(self, database: Database, gateway: FakeGateway) -> None:
        """Make a gateway known."""
        enroll(
            database,
            clock=_At(MONTHS[0]),
            tenant=gateway.tenant,
            gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey),
            record0_hash=gateway.record0_hash,
        )

    def work(self, gateway: FakeGateway) -> None:
        """Send a gateway's records over some months, and what the store keeps besides."""
        database = self.open()
        self.enroll(database, gateway)
        topics, size, clock = gateway.topics, gateway.size, _At(MONTHS[0])
        ledger = self.ledger(database, clock)
        for begin in range(0, size, 70):
            clock.second = MONTHS[begin * len(MONTHS) // size]
            end = min(begin + 70, size)
            ledger.process([(topics.records, gateway.batch(begin, end))])
            if begin % 140 or end == size:
                ledger.process([(topics.checkpoint, gateway.checkpoint(end))])
        fork = gateway.fork(size - 1)
        fork.append(unit="SN-FORK")
        ahead = self.ahead[gateway.tenant] = gateway.fork()
        ahead.grow(3, unit="SN-AHEAD")
        ledger.process(
            [
                (topics.records, fork.batch(size - 1)),
                (topics.records, b"not a record"),
                (topics.checkpoint, ahead.checkpoint()),
                (topics.notice, str(RecordNotice.of(ahead.records[-1]).sign(ahead.log_key)).encode()),
                (topics.notice, b"not a notice"),
            ]
        )
        database.close()

    def _write(self, gateway: FakeGateway, size: int) -> None:
        for part in (size // 2, size):
            while gateway.size < part:
                gateway.commit(3, unit=f"SN-{gateway.size}")
            gateway.rotate()

    def taken_over_by(self, url: str) -> Path:
        """Return the YAML of a new store, with this one's name and key."""
        file = self.folder / "plant.yaml"
        file.write_text(self.yaml.read_text().replace("sqlite:///store.db", url))
        return file


def reports_of(database: Database) -> dict[str, Any]:
    """Return everything that a store says of itself."""
    said: dict[str, Any] = {
        "status": list(status_lines(database)),
        "streams": read_streams(database),
        "refusals": read_refusals(database),
        "notice refusals": read_notice_refusals(database),
    }
    for tenant in tenants_of(database):
        for stream in read_streams(database, tenant=tenant):
            said[f"receipts of {tenant} {stream.origin}"] = read_receipts(
                database, stream.origin, tenant=tenant
            )
        said[f"of {tenant}"] = (
            list(read_records(database, tenant=tenant)),
            read_conflicts(database, tenant=tenant),
            read_heads(database, tenant=tenant),
            read_notices(database, tenant=tenant),
            [(each.mark, each.held_at, each.note) for each in read_handovers(database, tenant=tenant)],
            [(each.seq, each.unit, each.data) for each in read_handed_over(database, tenant=tenant)],
        )
    return said
