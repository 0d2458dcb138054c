"""Look into a controller without changing anything in it, and say what to put into the YAML."""

import asyncio
from dataclasses import dataclass

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.open_protocol.content.times import ClockOffset, measure
from linewitness.devices.open_protocol.driver import open_link, stopped_unless_done
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import cycles, handshake
from linewitness.devices.open_protocol.session.background import BackgroundTasks
from linewitness.devices.open_protocol.session.commands import offers
from linewitness.devices.open_protocol.session.identity import ControllerIdentity
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.revisions import AGAIN_AFTER_S, ClosedStart, StartAttempts
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, decode, encode
from linewitness.devices.open_protocol.wire.mids import UNSUBSCRIBE_OF, Mid, Refusal
from linewitness.devices.open_protocol.wire.refusals import NoAnswer, RefusedByController
from linewitness.devices.open_protocol.wire.telegram import Telegram

START_REVISIONS = tuple(range(7, 0, -1))
RESULT_REVISIONS = (*range(11, 0, -1), 998, 999)
TOOL_REVISIONS = tuple(range(7, 0, -1))
#: What may be subscribed besides results: name, MID, revisions.
SUBSCRIPTIONS = (
    ("alarms", Mid.ALARM_SUBSCRIBE, (3, 2, 1)),
    ("parameter_sets", Mid.PSET_SUBSCRIBE, (2, 1)),
    ("identifiers single", Mid.IDENTIFIER_SUBSCRIBE, (2, 1)),
    ("identifiers multiple", Mid.IDENTIFIERS_SUBSCRIBE, (1,)),
    ("jobs", Mid.JOB_SUBSCRIBE, (5, 4, 3, 2, 1)),
)
#: Jobs that are described; a controller may have hundreds.
DESCRIBED_JOBS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What a controller says about itself and what it offers."""

    identity: ControllerIdentity
    start_revision: int
    result_revisions: tuple[int, ...]
    subscriptions: tuple[tuple[str, int], ...]
    parameter_sets: tuple[int, ...]
    jobs: tuple[str, ...]
    newest_id: int | None
    memory: bool
    tool: DecodedTelegram | None
    clock: ClockOffset | None
    yaml: str

    def lines(self) -> list[str]:
        """Return the report for people, a line each."""
        who, tool, clock = self.identity, self.tool, self.clock
        serial = tool.text("tool_serial_number") if tool is not None else None
        calibrated = tool.text("last_calibration_date") if tool is not None else None
        offset = (
            "not told"
            if clock is None
            else f"{clock.offset_ms / 1000:+.1f} s against ours, zone {clock.zone}"
        )
        station = f"{who.station if who.station is not None else '-'} {who.station_name}".rstrip()
        offered = ", ".join(f"{name} (revision {number})" for name, number in self.subscriptions)
        maker = f"{who.supplier or '-'} {who.serial or 'without a serial number'}"
        return [
            f"controller   {who.name or '-'}, {maker}, software {who.software or '-'}",
            f"station      {station}",
            f"start        revision {self.start_revision}",
            f"results      revisions {', '.join(map(str, self.result_revisions)) or 'none'}",
            f"also offers  {offered or '-'}",
            f"programs     parameter sets {', '.join(map(str, self.parameter_sets)) or 'not told'}",
            f"jobs         {', '.join(self.jobs) or '-'}",
            f"memory       {self._memory()}",
            f"tool         {serial or '-'}, last calibration {calibrated or 'not told'}",
            f"clock        {offset}",
        ]

    def _memory(self) -> str:
        if not self.memory:
            return "cannot be asked (0064): what is made while the gateway is away is lost"
        return "empty" if self.newest_id is None else f"newest tightening id {self.newest_id}"


async def probe(options: OpenProtocolOptions, *, clock: Clock) -> ProbeReport:
    """Ask a controller who it is and what it offers; every subscription is undone.

    Raises DeviceUnavailable and DeviceRefused as a connection does.
    """
    async with BackgroundTasks() as background:
        link, started = await _start(options, background, clock)
        try:
            return await _report(options, link, started, clock)
        finally:
            await link.stop()


async def _start(
    options: OpenProtocolOptions, background: BackgroundTasks, clock: Clock
) -> tuple[ControllerLink, DecodedTelegram]:
    revision, attempts = START_REVISIONS[0], StartAttempts()
    while revision:
        link = await open_link(options, clock=clock)
        background.start(link.read_forever(), "probe:read")
        background.start(link.keep_alive_forever(), "probe:keep-alive")
        try:
            async with stopped_unless_done(link):
                return link, await handshake.start(link, options.name, revision)
        except handshake.ClosedAtStart as error:
            revision = error.revision
            if attempts.closed(revision, answered=0) is ClosedStart.ONCE:
                await asyncio.sleep(AGAIN_AFTER_S)
            else:
                revision -= 1
        except NoAnswer:
            # Some ignore the newest revision. What ignores a second one is another service.
            if revision < START_REVISIONS[0]:
                raise
            revision -= 1
    raise DeviceUnavailable(
        f"{options.name} closes the connection without an answer to the start",
        hint="check that this port is its Open Protocol port (usually 4545)",
    )


async def _report(
    options: OpenProtocolOptions, link: ControllerLink, started: DecodedTelegram, clock: Clock
) -> ProbeReport:
    asked = clock.stamp()
    told = await handshake.ask_stepping_down(link, Mid.TIME_REQUEST, (1,), Mid.TIME)
    offset = measure(decode(told.telegram).text("time"), asked, told.stamp, options.zone) if told else None
    received = await handshake.tool_data(link, TOOL_REVISIONS[0])
    tool = decode(received.telegram) if received is not None else None
    identity = handshake.identify(started, tool)
    revisions = tuple([each for each in RESULT_REVISIONS if await _offered(link, Mid.RESULT_SUBSCRIBE, each)])
    offered = [(name, await _highest(link, mid, numbers)) for name, mid, numbers in SUBSCRIPTIONS]
    offered.append(("multi_spindle", await _spindles(link)))
    subscriptions = tuple((name, number) for name, number in offered if number is not None)
    parameter_sets, _ = await offers.listed(link, Mid.PSET_IDS_REQUEST, Mid.PSET_IDS, (1,))
    memory, newest = await _newest(link)
    return ProbeReport(
        identity=identity,
        start_revision=started.revision,
        result_revisions=revisions,
        subscriptions=subscriptions,
        parameter_sets=parameter_sets or (),
        jobs=await _jobs(link),
        newest_id=newest,
        memory=memory,
        tool=tool,
        clock=offset,
        yaml=_yaml(options, identity, tool, {name for name, _ in subscriptions}),
    )


async def _offered(link: ControllerLink, mid: Mid, revision: int) -> bool:
    try:
        await handshake.subscribe(link, mid, revision, optional=True)
        await link.ask(Telegram(mid=UNSUBSCRIBE_OF[mid]), Mid.ACCEPTED, optional=True)
    except RefusedByController:
        return False
    return True


async def _highest(link: ControllerLink, mid: Mid, revisions: tuple[int, ...]) -> int | None:
    for revision in revisions:
        if await _offered(link, mid, revision):
            return revision
    return None


async def _spindles(link: ControllerLink) -> int | None:
    try:
        revision = await cycles.subscribe_spindles(link)
    except DeviceUnavailable:  # not now; where the connection broke, the next question says so
        return None
    if revision is not None:
        await cycles.unsubscribe(link, Mid.MULTI_SUBSCRIBE)
    return revision


async def _jobs(link: ControllerLink) -> tuple[str, ...]:
    numbers, revision = await offers.listed(link, Mid.JOB_IDS_REQUEST, Mid.JOB_IDS, offers.JOB_REVISIONS)
    described = [
        await offers.described_job(link, number, revision) for number in (numbers or ())[:DESCRIBED_JOBS]
    ]
    rest = len(numbers or ()) - len(described)
    return (*described, *((f"and {rest} more",) if rest else ()))


async def _newest(link: ControllerLink) -> tuple[bool, int | None]:
    try:
        received = await link.ask(
            encode(Mid.OLD_RESULT_REQUEST, 1, {"tightening_id": 0}), Mid.OLD_RESULT, ignorable=True
        )
    except RefusedByController as error:
        return error.code == Refusal.NOT_FOUND, None
    return True, decode(received.telegram).number("tightening_id")


def _yaml(
    options: OpenProtocolOptions, identity: ControllerIdentity, tool: DecodedTelegram | None, offers: set[str]
) -> str:
    lines = ["devices:", f"  - id: {options.id}", "    driver: open_protocol", f"    host: {options.host}"]
    if options.port != OpenProtocolOptions.model_fields["port"].default:
        lines.append(f"    port: {options.port}")
    lines.append(f"    timezone: {options.timezone or 'Europe/Berlin  # the zone that the controller keeps'}")
    if identity.serial:
        lines.append(f"    controller_serial: {_quoted(identity.serial)}")
    serial = tool.text("tool_serial_number") if tool is not None else None
    if serial:
        lines.append(f"    tool_serial: {_quoted(serial)}")
    lines += [f"    {name}: false" for name in ("alarms", "parameter_sets") if name not in offers]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
