"""Read a result when its trigger says so, and tell the PLC once it is durable."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from asyncua import ua

from linewitness.base.clock import Stamp
from linewitness.base.errors import DeviceRefused
from linewitness.devices.base import Measured, Observation, Result, Scalar, Seen, When
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.connection.server import read
from linewitness.devices.opcua.conversation import Conversation
from linewitness.devices.opcua.counting import counted, measured_of
from linewitness.devices.opcua.decoding.times import verbatim
from linewitness.devices.opcua.decoding.values import plain, quality, status_name
from linewitness.devices.opcua.interpret import Fired
from linewitness.devices.opcua.monitor import Item
from linewitness.devices.opcua.nodes import resolve
from linewitness.devices.opcua.options import ResultOptions
from linewitness.devices.opcua.writing import write


@dataclass(frozen=True, slots=True)
class _Promise:
    """A handshake to be written once an observation is durable; the observation is kept to be recognised."""

    observation: Observation
    item: Item
    trigger: ua.Variant | None


class Results:
    """The points with `record: result` of one session."""

    def __init__(self, conversation: Conversation) -> None:
        """Nothing is owed to the PLC yet."""
        self._client = conversation.client
        self._options = conversation.options
        self._clock = conversation.clock
        self._server = conversation.server
        self._interpreter = conversation.interpreter
        self._recall = conversation.recall
        self._promised: dict[int, _Promise] = {}

    async def look(self, items: Sequence[Item]) -> None:
        """Read all fields once: what the server refuses is to be known before the first result."""
        waiting = [item for item in items if item.role == "trigger" and item.point is not None]
        values = iter(await self._values([text for item in waiting for _, text in _parts(item)]))
        for item in waiting:
            self._note(item, list(islice(values, len(_parts(item)))))

    async def on(self, fired: Fired) -> list[Observation]:
        """Return what a trigger's value means: a result, what was missed, a repetition, or nothing."""
        item, settings = fired.item, _settings(fired.item)
        if quality(fired.value.StatusCode) != "good":
            return []
        known = await self._recall.get(f"result.{_name(item)}")
        if settings.edge == "change":
            return await self._on_counter(fired, known)
        level = bool(fired.value.Value.Value) if fired.value.Value else False
        if level is not (settings.edge == "rising"):
            return []
        stamp = fired.value.SourceTimestamp or fired.value.ServerTimestamp
        identity = verbatim(stamp) if stamp else str(fired.received.realtime_ns)
        if identity == known:
            return self._again(fired, identity)
        return [await self._read(fired, identity)]

    async def _on_counter(self, fired: Fired, known: str | None) -> list[Observation]:
        item = fired.item
        text = str(plain(fired.value.Value))
        if not text.isdigit() or (known is not None and not known.isdigit()):
            if text == known:
                return self._again(fired, text)
            return [await self._read(fired, text)]
        move = counted(None if known is None else int(known), int(text))
        if move.step == "same":
            return self._again(fired, text)
        said: list[Observation] = []
        epoch = int(await self._recall.get(f"epoch.{_name(item)}") or 0)
        if move.step in {"reset", "restarted"} or (known is not None and int(text) < int(known)):
            epoch += 1
        if move.missed is not None:
            said.append(self._missed(fired, move.missed, "nobody read them before the next one was made"))
        keep = {f"result.{_name(item)}": text, f"epoch.{_name(item)}": str(epoch)}
        if move.step == "reset":
            said.append(self._seen(fired, keep))
        else:
            said.append(await self._read(fired, text, epoch=epoch))
        return said

    def _again(self, fired: Fired, identity: str) -> list[Observation]:
        """Repeat the handshake of a result that is durable: we may have died before it was written.

        The first value ever seen of a trigger is taken as past: what it belongs to was made before us.
        """
        if not fired.initial:
            return []
        seen = self._seen(fired, {f"result.{_name(fired.item)}": identity})
        return [seen]

    def _seen(self, fired: Fired, keep: dict[str, str | None] | dict[str, str]) -> Seen:
        waits = _settings(fired.item).handshake is not None
        seen = Seen(
            device=self._options.id,
            session_id=self._interpreter.session_id,
            received=fired.received,
            when=self._when(fired),
            remember=dict(keep),
            confirmable=waits,
        )
        if waits:
            self._promise(seen, fired)
        return seen

    def _promise(self, observation: Observation, fired: Fired) -> None:
        self._promised[id(observation)] = _Promise(observation, fired.item, fired.value.Value)

    def _missed(self, fired: Fired, missed: tuple[int, int], why: str) -> Observation:
        first, last = missed
        gap = self._interpreter.gaps.between(
            source=_name(fired.item),
            first=None,
            last=fired.received,
            received=fired.received,
            reason=why,
            count=last - first + 1,
        )
        return self._interpreter.gaps.renumbered(gap, str(first), str(last))

    def _when(self, fired: Fired) -> When:
        witness = self._interpreter.witness
        if fired.initial:
            return witness.initial(fired.value, fired.received, self._interpreter.contact_ns)
        return witness.live(fired.value, fired.received)

    async def _read(self, fired: Fired, identity: str, *, epoch: int = 0) -> Observation:
        """Read all fields in one request, together with the trigger: it must not have moved meanwhile."""
        item, settings = fired.item, _settings(fired.item)
        parts = [text for _, text in _parts(item)]
        with spoken(self._options):
            trigger, *values = await self._values([item.text, *parts], together=True)
        self._note(item, values)
        if settings.edge == "change" and plain(trigger.Value) != plain(fired.value.Value):
            return self._overwritten(fired, identity, epoch)
        return self._result(fired, identity, epoch, values)

    async def _values(self, texts: Sequence[str], *, together: bool = False) -> list[ua.DataValue]:
        """Read nodes, in one request where their values belong together."""
        nodes = [resolve(text, self._server.namespaces) for text in texts]
        asked = [node for node in nodes if node is not None]
        limit = max(len(asked), 1) if together else self._server.nodes_per_read
        answers = iter(await read(self._client, asked, limit=limit))
        missing = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(0x8034_0000)))  # BadNodeIdUnknown
        return [missing if node is None else next(answers) for node in nodes]

    def _note(self, item: Item, values: Sequence[ua.DataValue]) -> None:
        for (part, text), value in zip(_parts(item), values, strict=True):
            self._interpreter.refusals.note(f"{_name(item)}.{part}", text, value.StatusCode)

    def _overwritten(self, fired: Fired, identity: str, epoch: int) -> Observation:
        gap = self._interpreter.gaps.between(
            source=_name(fired.item),
            first=None,
            last=fired.received,
            received=fired.received,
            reason="its values were overwritten by the next one before they could be read",
            count=1,
            remember={f"result.{_name(fired.item)}": identity, f"epoch.{_name(fired.item)}": str(epoch)},
        )
        return self._interpreter.gaps.renumbered(gap, identity, identity)

    def _result(self, fired: Fired, identity: str, epoch: int, values: Sequence[ua.DataValue]) -> Result:
        item, settings = fired.item, _settings(fired.item)
        fields = values[: len(settings.fields)]
        rest = list(values[len(settings.fields) :])
        serial = plain(rest.pop(0).Value) if settings.identifier else None
        ok = plain(rest.pop(0).Value) if settings.ok else None
        measured: list[Measured] = []
        for field, value in zip(settings.fields, fields, strict=True):
            measured += measured_of(field, self._interpreter.told(value.Value), value.StatusCode)
        facts: list[tuple[str, Scalar]] = [
            (f"{part}.status", status_name(value.StatusCode))
            for (part, _), value in zip(_parts(item), values, strict=True)
            if quality(value.StatusCode) != "good"
        ]
        result = Result(
            device=self._options.id,
            session_id=self._interpreter.session_id,
            received=self._received(),
            when=self._when(fired),
            remember={f"result.{_name(item)}": identity, f"epoch.{_name(item)}": str(epoch)},
            confirmable=settings.handshake is not None,
            kind="measurement.result",
            source=_name(item),
            epoch=epoch,
            result_id=identity,
            identifier=serial if isinstance(serial, str) and serial else None,
            ok=ok if isinstance(ok, bool) else None,
            decided_by=settings.decided_by,
            measured=tuple(measured),
            facts=tuple(facts),
        )
        if result.confirmable:
            self._promise(result, fired)
        return result

    def _received(self) -> Stamp:
        return self._clock.stamp()

    async def confirm(self, observation: Observation) -> None:
        """Write the handshake that this observation's result waits for; nothing if there is none."""
        promise = self._promised.pop(id(observation), None)
        if promise is None:
            return
        handshake = _settings(promise.item).handshake
        node = None if handshake is None else resolve(handshake.node, self._server.namespaces)
        if handshake is None or node is None:
            raise DeviceRefused(
                f"{promise.item.place}: the server has no node for the handshake",
                hint="check result.handshake.node",
            )
        trigger = promise.trigger or ua.Variant()
        content = trigger.Value if handshake.value == "trigger" else handshake.value
        with spoken(self._options):
            held = (await read(self._client, [node], limit=1))[0]
            kind = held.Value.VariantType if held.Value else trigger.VariantType
            status = await write(self._client, node, content, kind)
        if status.is_bad():
            raise DeviceRefused(
                f"{promise.item.place}: the server refused the handshake: {status_name(status)}",
                hint="let our user write the handshake node, or take result.handshake out",
            )


def _parts(item: Item) -> list[tuple[str, str]]:
    """Return the names and nodes of what a result is read from: its fields, then unit and verdict."""
    settings = _settings(item)
    extra = (("identifier", settings.identifier), ("ok", settings.ok))
    fields = [(field.id, field.node) for field in settings.fields]
    return [*fields, *((name, text) for name, text in extra if text is not None)]


def _settings(item: Item) -> ResultOptions:
    if item.point is None or item.point.result is None:
        raise ValueError(f"{item.place} is no result")
    return item.point.result


def _name(item: Item) -> str:
    return item.point.id if item.point else item.text
