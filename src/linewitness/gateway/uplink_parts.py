"""The parts of a line that has an audit store: its broker, what is sent, and what the store answers."""

from dataclasses import dataclass

from linewitness.base.clock import Clock
from linewitness.evidence.format.note import Vkey
from linewitness.gateway.ahead.alarms import AlarmWatch
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity
from linewitness.gateway.forward import Forwarder
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.status.health import Health
from linewitness.tpm.starts import CountedStarts
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttConnector, Will
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """The parts of a line that has an audit store."""

    forwarder: Forwarder
    judge: ReceiptJudge
    alarms: AlarmWatch


def connector_of(options: MqttOptions | None, topics: Topics) -> MqttConnector | None:
    """Return what connects to the broker; None where none is configured."""
    if options is None:
        return None
    return MqttConnector(options, will=Will(topics.status, b'{"state":"offline"}', retain=True))


def uplink_of(
    connector: MqttConnector | None,
    *,
    store_vkey: str | None,
    topics: Topics,
    options: ForwardOptions,
    journal: Journal,
    continuity: Continuity,
    signer: CheckpointSigner,
    telemetry: TelemetryBuffer,
    health: Health,
    clock: Clock,
    starts: CountedStarts | None,
) -> Uplink | None:
    """Build the uplink; None where no broker or no store is configured."""
    if connector is None or store_vkey is None:
        return None
    judge = ReceiptJudge(
        journal,
        continuity,
        store_vkey=Vkey.parse(store_vkey),
        clock=clock,
        other_starts=lambda: starts.others if starts else None,
    )
    alarms = AlarmWatch(journal, judge, counts=health.notices)
    forwarder = Forwarder(
        connector.connect,
        journal=journal,
        telemetry=telemetry,
        signer=signer,
        judge=judge,
        alarms=alarms,
        topics=topics,
        options=options,
        clock=clock,
        health=health,
    )
    return Uplink(forwarder=forwarder, judge=judge, alarms=alarms)
