"""Be an audit store for one gateway under strace: `python store_workload.py SITE MESSAGES [WEAKNESS]`.

It says each thing that others rely on from then on: its key, the enrolment, each receipt. Between messages it
is restarted now and then, which moves the log into the database's main file.
"""

import json
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

from sqlalchemy import event

from linewitness.base import durable
from linewitness.base.clock import SystemClock
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import create_key
from linewitness.store.ledger import StoreLedger

CLOCK = SystemClock()
#: Messages after which the store is restarted.
LIFE = 7


def say(what: str, value: str) -> None:
    sys.stdout.write(json.dumps({what: value}) + "\n")
    sys.stdout.flush()


def weaken(weakness: str, database: Database) -> None:
    if weakness == "normal":  # a commit is not synchronised, only the move of the log is

        @event.listens_for(database.backend.engine, "connect")
        def _on_connect(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA synchronous=NORMAL")


def opened(site: Path, weakness: str) -> Database:
    database = Database(f"sqlite:///{site}/data/store.db")
    weaken(weakness, database)
    return database


def main(site: Path, messages: Path, weakness: str = "") -> None:
    if weakness == "folders":  # names are left to the system
        durable.sync_folder = lambda folder: None
    work = json.loads(messages.read_text())
    cosigner = create_key("store.example", site / "keys" / "store.key")
    durable.make_folder(site / "data", mode=0o700)
    database = opened(site, weakness)
    database.create()
    say("key", str(cosigner.vkey))
    enroll(database, clock=CLOCK, **work["enrolment"])
    say("enrolled", work["enrolment"]["record0_hash"])
    ledger = StoreLedger(database=database, cosigner=cosigner, clock=CLOCK)
    for number, (topic, payload) in enumerate(work["messages"]):
        if number % LIFE == LIFE - 1:
            database.close()
            database = opened(site, weakness)
            ledger = StoreLedger(database=database, cosigner=cosigner, clock=CLOCK)
        for answer in ledger.process([(topic, b64decode(payload))]):
            if answer.payload:
                say("receipt", answer.payload.decode())
    database.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
