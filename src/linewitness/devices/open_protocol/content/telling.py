"""What a record of the book carries with it: the telegram, and what was read from it."""

import hashlib
from dataclasses import dataclass

from linewitness.devices.open_protocol.content.operations import OperationResult
from linewitness.devices.open_protocol.ledger.tracker import ResultRecord
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram


@dataclass(frozen=True, slots=True)
class Telling:
    """A result telegram with what was read from it."""

    received: ReceivedTelegram
    decoded: DecodedTelegram


def digest(raw: bytes) -> str:
    """Return a short name for bytes: the beginning of their hash."""
    return hashlib.sha256(raw).hexdigest()[:16]


def received_of(record: ResultRecord) -> ReceivedTelegram:
    """Return the telegram by which a record came; of an operation, its last one."""
    operation = record.telegram
    if isinstance(operation, OperationResult) and operation.last is not None:
        return operation.last
    return telling_of(record).received


def telling_of(record: ResultRecord) -> Telling:
    """Return the telegram of a tightening with what was read from it."""
    if not isinstance(record.telegram, Telling):
        raise TypeError("a record of a session carries its telegram")
    return record.telegram
