"""Clients that send as much as a broker takes, or at a rate: paho with a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties


@dataclass
class Greedy:
    """How many messages the broker has taken so far."""

    taken: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    wrong: list[str] = field(default_factory=list)


#: At a rate, so long passes between two bursts.
TICK_S = 0.01


@contextmanager
def greedy(
    port: int,
    topic: str,
    payload: bytes,
    *,
    in_flight: int = 4,
    rate: float | None = None,
    properties: Properties | None = None,
) -> Iterator[Greedy]:
    """Publish one payload again and again, `rate` times a second or as fast as the broker acknowledges."""
    state, room = Greedy(), threading.Semaphore(in_flight)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages = 0

    def disconnected(*arguments: object) -> None:
        if not state.stop.is_set():
            state.wrong.append(str(arguments[3]))

    def acknowledged(*_: object) -> None:
        state.taken += 1
        room.release()

    tick_s = max(TICK_S, 1 / rate) if rate else 0.0

    def send() -> None:
        while not state.stop.wait(tick_s):
            for _ in range(round(rate * tick_s) if rate else 1):
                if not room.acquire(timeout=0.2):
                    break
                sent = client.publish(topic, payload, qos=1, properties=properties)
                if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    state.wrong.append("the broker is gone")
                    return

    client.on_publish = acknowledged
    client.on_disconnect = disconnected
    client.connect("127.0.0.1", port)
    client.loop_start()
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.stop.set()
        thread.join(10)
        client.disconnect()
        client.loop_stop()
