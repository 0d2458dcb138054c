"""What the parts of one session share: with whom, about what, and what is remembered."""

from dataclasses import dataclass

from linewitness.base.clock import Clock
from linewitness.devices.opcua.backfill.recall import Recall
from linewitness.devices.opcua.connection.server import Server
from linewitness.devices.opcua.connection.wire import Client
from linewitness.devices.opcua.interpret import Interpreter
from linewitness.devices.opcua.options import OpcUaOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One connection to one server, for as long as it lasts."""

    client: Client
    options: OpcUaOptions
    clock: Clock
    server: Server
    interpreter: Interpreter
    recall: Recall
