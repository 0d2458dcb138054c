"""One connection to one server: deliveries in, observations out, until it is gone or silent."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, nullcontext
from typing import Final

from linewitness.base.clock import Clock, Stamp, from_rfc3339, monotonic
from linewitness.base.errors import DeviceError
from linewitness.devices.base import Gap, Observation
from linewitness.devices.opcua.backfill.anew import read_anew
from linewitness.devices.opcua.backfill.catchup import CatchUp
from linewitness.devices.opcua.backfill.recall import Recall, sign_of_life
from linewitness.devices.opcua.backlog import SUBSCRIPTION, Delivery, Dropped
from linewitness.devices.opcua.connection.client import certificates_left
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.connection.server import CURRENT_TIME, Server, read, server_time
from linewitness.devices.opcua.connection.wire import Client
from linewitness.devices.opcua.conversation import Conversation
from linewitness.devices.opcua.decoding.structures import Layouts
from linewitness.devices.opcua.decoding.times import ServerClock
from linewitness.devices.opcua.interpret import Interpreter
from linewitness.devices.opcua.monitor import Item
from linewitness.devices.opcua.nodes import listed, resolve
from linewitness.devices.opcua.notifications.audit_wait import await_audit
from linewitness.devices.opcua.notifications.notices import AlarmNotices
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.devices.opcua.polled import Polled
from linewitness.devices.opcua.results import Results
from linewitness.devices.opcua.sources import Source, Subscribed
from linewitness.devices.opcua.writing import Commands
from linewitness.devices.polling import PollFigures
from linewitness.devices.together import together

#: How often a node that the server refused is asked for again: a PLC program may have been loaded since.
RETRY_REFUSED_S: Final = 60.0
#: How often the server's time is read at least.
LOOK_S: Final = 5.0
#: How often the journal is told that a quiet server was heard: a crash makes the gap longer by this at most.
REMIND_S: Final = 60.0


class OpcUaSession:
    """A session with its subscriptions or its poll. `start` is called once, before `observations`."""

    def __init__(
        self,
        *,
        client: Client,
        options: OpcUaOptions,
        clock: Clock,
        session_id: str,
        server: Server,
        items: Sequence[Item],
        recall: Recall,
        contact: Stamp | None,
    ) -> None:
        """Keep what the session works with; `contact` is the last sign of life seen by this process."""
        self._client = client
        self._options = options
        self._clock = clock
        self._session_id = session_id
        self._server = server
        self._items = items
        self._recall = recall
        self._contact = contact
        make = Subscribed if options.mode == "subscribe" else Polled
        self._source: Source = make(client=client, options=options, clock=clock, server=server)
        self._broken: DeviceError | None = None
        #: Whether changes were lost since all points were read.
        self._has_lost = False
        self._look_at = self._retry_at = 0.0
        self._remind_at = monotonic() + REMIND_S
        self._server_clock = ServerClock()
        self._interpreter = Interpreter(
            options=options,
            session_id=session_id,
            items=items,
            contact_ns=contact.realtime_ns if contact else None,
        )
        self._commands = Commands(client, options, server)
        self._conversation = Conversation(
            client=client,
            options=options,
            clock=clock,
            server=server,
            interpreter=self._interpreter,
            recall=recall,
        )
        self._results = Results(self._conversation)

    @property
    def session_id(self) -> str:
        """Name of this connection."""
        return self._session_id

    @property
    def identity(self) -> Mapping[str, str]:
        """What the server said about itself, and which points it refused."""
        names = [self._name(self._items[handle]) for handle in sorted(self._source.refused)]
        refused = {"refused": listed(names)} if names else {}
        return {**self._server.identity, **certificates_left(self._client, self._clock), **refused}

    @property
    def refused_points(self) -> Mapping[str, str]:
        """Why the server refuses points, by their ids; what belongs to no point is named by its node."""
        refused = ((self._items[handle], why) for handle, why in sorted(self._source.refused.items()))
        points = {self._name(item): f"{item.text}: {why}" for item, why in refused}
        return points | dict(self._interpreter.refusals.why)

    @property
    def contact(self) -> Stamp | None:
        """When the server was last heard."""
        return self._source.heard or self._contact

    @property
    def known_until(self) -> Stamp | None:
        """Until when a point whose change was not yielded had not changed; None while changes are lost."""
        return None if self._has_lost else self._source.known_until

    @property
    def clock_offset_ms(self) -> int | None:
        """How far the server's clock is ahead of ours."""
        return self._interpreter.witness.offset_ms

    @property
    def polls(self) -> PollFigures:
        """How many polls were due, and how many of them were not made; none where the server delivers."""
        return self._source.grid.figures if self._source.grid else PollFigures()

    async def start(self) -> None:
        """Subscribe; DeviceUnavailable or DeviceRefused where the server lets us not."""
        if self._contact is None and (known := await self._recall.get("contact")) is not None:
            self._contact = Stamp(from_rfc3339(known), 0)
            self._interpreter.contact_ns = self._contact.realtime_ns
        self._interpreter.alarms = AlarmNotices(
            device=self._options.id,
            session_id=self._session_id,
            known=await self._recall.items("alarm."),
        )
        with spoken(self._options):
            await self._measure_clock()
            await self._source.start(self._items)
            await self._learn_structures()
            await self._results.look(self._items)
        self._look_at, self._retry_at = monotonic() + LOOK_S / 2, monotonic() + RETRY_REFUSED_S

    async def _learn_structures(self) -> None:
        layouts = Layouts(self._client, limit=self._server.nodes_per_read)
        listened = [item.node for item in self._listened() if item.role in {"change", "telemetry"}]
        fields = [
            resolve(field.node, self._server.namespaces)
            for point in self._options.points
            if point.result is not None
            for field in point.result.fields
        ]
        await layouts.learn([node for node in (*listened, *fields) if node is not None])
        self._interpreter.layouts = layouts

    async def confirm(self, observation: Observation) -> None:
        """Write the handshake of a result that is durable; a failure ends the session as well."""
        try:
            await self._results.confirm(observation)
        except DeviceError as error:
            self._broken = error
            raise

    async def command(self, point: str | None, value: str) -> str:
        """Write a point for a gate, and return what reading it back gives."""
        return await self._commands.write(point, value)

    async def observations(self) -> AsyncGenerator[Observation, None]:
        """Yield what was missed, then what the server delivers; ends with DeviceUnavailable."""
        async with aclosing(self._everything()) as stream:
            async for observation in stream:
                if "contact" in observation.remember:
                    self._remind_at = monotonic() + REMIND_S
                self._recall.note(observation)
                with self._source.grid.handing_over() if self._source.grid else nullcontext():
                    yield observation

    async def _everything(self) -> AsyncGenerator[Observation, None]:
        async with aclosing(self._opening()) as opening:
            async for observation in opening:
                yield observation
        while True:
            if self._broken is not None:
                raise self._broken
            held = self._source.pop() or await self._anew()
            if held is None:
                await self._look_after()
                if monotonic() >= self._remind_at:
                    heard = self.contact or self._clock.stamp()
                    yield sign_of_life(self._options.id, self._session_id, heard)
                await self._source.wait(self._look_at)
                continue
            async with aclosing(self._news(held)) as news:
                async for observation in news:
                    yield observation
            await self._look_after()

    async def _news(self, held: Delivery | Dropped) -> AsyncGenerator[Observation, None]:
        """Yield what a delivery says, the results that it announces, and the polls that were not made."""
        if isinstance(held, Delivery) and self._options.audit:
            await await_audit(self._conversation, self._source, held)
        for observation in together(self._interpreter.observe(held)):
            self._has_lost |= isinstance(observation, Gap) and observation.source == SUBSCRIPTION
            yield observation
        for trigger in self._interpreter.take_fired():
            for result in await self._results.on(trigger):
                yield result
        if (gap := self.missed_polls()) is not None:
            yield gap

    async def _anew(self) -> Delivery | None:
        """Read all points once what was under way is taken, where changes were lost."""
        if not self._has_lost:
            return None
        with spoken(self._options):
            found = await read_anew(self._conversation, self._listened())
        self._has_lost = False
        return found

    def missed_polls(self, *, final: bool = False) -> Gap | None:
        """Return, once, which polls were due and not made, where that concerns evidence."""
        missed = self._source.grid.report(final=final) if self._source.grid else None
        if missed is None or all(item.role == "telemetry" for item in self._listened()):
            return None
        return missed.gap(self._options.id, self._session_id)

    async def _opening(self) -> AsyncGenerator[Observation, None]:
        """Yield what is to be said before anything live: what is refused, and what was missed."""
        for refusal in await self._refusals():
            yield refusal
        if self._contact is None:
            return
        catch_up = CatchUp(self._conversation)
        async with aclosing(catch_up.since(self._contact, self._listened())) as missed:
            async for observation in missed:
                yield observation

    async def _look_after(self) -> None:
        """Now and then, read the server's time, find a silent source, and ask again for refused nodes."""
        now = monotonic()
        if now < self._look_at:
            return
        with spoken(self._options):
            await self._measure_clock()
            self._source.check()
            if self._source.refused and now >= self._retry_at:
                await self._source.retry_refused(self._items)
                await self._note_mended()
                self._retry_at = now + RETRY_REFUSED_S
        self._look_at = monotonic() + min(self._options.silence_s / 2, LOOK_S)

    def _listened(self) -> list[Item]:
        return [item for item in self._items if item.handle not in self._source.refused]

    async def _refusals(self) -> list[Observation]:
        """Return a gap for each point that is refused now and was not before, or for another reason."""
        stamp = self._clock.stamp()
        said: list[Observation] = []
        await self._note_mended()
        known = await self._recall.items("refused.")
        for handle, why in sorted(self._source.refused.items()):
            item = self._items[handle]
            name = self._name(item)
            if known.get(f"refused.{name}") != why:
                said.append(
                    self._interpreter.gaps.between(
                        source=name,
                        first=stamp,
                        last=stamp,
                        received=stamp,
                        reason=f"{item.place}: the server refused {item.text}: {why}",
                        remember={f"refused.{name}": why},
                    )
                )
        return said

    async def _note_mended(self) -> None:
        """Find the points that were refused and live now, so that a later refusal is news again."""
        known = {key.removeprefix("refused.") for key in await self._recall.items("refused.")}
        refused = {self._name(self._items[handle]) for handle in self._source.refused}
        self._interpreter.mended = known - refused

    @staticmethod
    def _name(item: Item) -> str:
        return item.point.id if item.point else item.text

    async def _measure_clock(self) -> None:
        asked = self._clock.stamp()
        value = (await read(self._client, [CURRENT_TIME], limit=1))[0]
        moment = server_time(value)
        if moment is not None:
            best = self._server_clock.measure(asked=asked, answered=self._clock.stamp(), server=moment)
            self._interpreter.witness = self._interpreter.witness_for(best)
