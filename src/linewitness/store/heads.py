"""Load the head of a stream: a verifier that stands behind the last record that is held, or any before it."""

import orjson
from sqlalchemy import Connection, select

from linewitness.evidence.format.merkle import Frontier
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.verify.chain import ChainHead, ChainVerifier
from linewitness.store.acceptance import Acceptance, Pinned
from linewitness.store.database import tables
from linewitness.store.database.enrolments import Enrolment
from linewitness.store.database.stored_records import StoredRecords
from linewitness.store.tree import StoreTree


def acceptance_at(connection: Connection, enrolment: Enrolment, size: int) -> Acceptance:
    """Return the verifier that stands before record `size` of the stream that is held."""
    head = None
    if size:
        head = ChainHead(
            stream=enrolment.origin,
            tenant=enrolment.tenant,
            size=size,
            last_hash=_hash_of(connection, enrolment, size - 1),
            event_key=str(event_key_at(connection, enrolment, size)),
            log_key=str(enrolment.log_vkey),
        )
    return Acceptance(
        Pinned(enrolment.origin, enrolment.tenant, enrolment.log_vkey, enrolment.record0_hash),
        ChainVerifier(stream=enrolment.origin, tenant=enrolment.tenant, head=head),
        Frontier(size, StoreTree(connection, enrolment.stream_id).subtree),
    )


def event_key_at(connection: Connection, enrolment: Enrolment, seq: int) -> Vkey | None:
    """Return the key that signs the record at `seq`, or None before record 0 is held."""
    keys = tables.event_keys
    text = connection.execute(
        select(keys.c.vkey)
        .where(keys.c.stream_id == enrolment.stream_id, keys.c.first_seq <= seq)
        .order_by(keys.c.first_seq.desc())
        .limit(1)
    ).scalar_one_or_none()
    return None if text is None else Vkey.parse(text)


def _hash_of(connection: Connection, enrolment: Enrolment, seq: int) -> str:
    data = StoredRecords(connection, enrolment.stream_id).at(seq).data
    return str(orjson.loads(data)["integrity"]["record_hash"])
