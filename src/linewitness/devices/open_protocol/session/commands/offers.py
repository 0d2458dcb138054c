"""Which commands a controller offers: asked at the start of a session, by questions that change nothing."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import handshake
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.wire.codec import decode, encode
from linewitness.devices.open_protocol.wire.mids import STILL_SUBSCRIBED, UNSUBSCRIBE_OF, Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import Telegram

JOB_REVISIONS: Final = (2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOffers:
    """What a controller offered; of a list of numbers None where it does not tell them.

    `identifiers` are the messages by which a serial number can be sent, `job_revision` that of its jobs.
    """

    identifiers: tuple[Mid, ...] = ()
    selects_psets: bool = False
    psets: tuple[int, ...] | None = None
    selects_jobs: bool = False
    jobs: tuple[int, ...] | None = None
    job_revision: int = 1


async def learn(link: ControllerLink, options: OpenProtocolOptions) -> CommandOffers:
    """Ask what is offered of the commands that the YAML allows; to be called when all is subscribed.

    A controller offers to select parameter sets or jobs if it lists them, or tells which one is selected; it
    offers to take serial numbers if it tells which one it has.
    """
    identifiers: tuple[Mid, ...] = ()
    if "identifier" in options.commands:
        identifiers = await _identifiers(link, options)
    if "program" not in options.commands:
        return CommandOffers(identifiers=identifiers)
    psets, _ = await listed(link, Mid.PSET_IDS_REQUEST, Mid.PSET_IDS, (1,))
    jobs, revision = await listed(link, Mid.JOB_IDS_REQUEST, Mid.JOB_IDS, JOB_REVISIONS)
    return CommandOffers(
        identifiers=identifiers,
        psets=psets,
        selects_psets=psets is not None
        or await _tells(link, Mid.PSET_SUBSCRIBE, wanted=options.parameter_sets),
        jobs=jobs,
        selects_jobs=jobs is not None or await _tells(link, Mid.JOB_SUBSCRIBE, wanted=options.jobs),
        job_revision=revision,
    )


async def listed(
    link: ControllerLink, request: Mid, answer: Mid, revisions: Iterable[int]
) -> tuple[tuple[int, ...] | None, int]:
    """Return the numbers of the parameter sets (0011) or jobs (0031), and the revision of the answer."""
    received = await handshake.ask_stepping_down(link, request, revisions, answer)
    if received is None:
        return None, 1
    decoded = decode(received.telegram)
    blocks = decoded.blocks.get("psets" if answer == Mid.PSET_IDS else "jobs", ())
    numbers = (value.content for block in blocks for value in block.values())
    return tuple(number for number in numbers if isinstance(number, int)), decoded.revision


async def described_job(link: ControllerLink, number: int, revision: int) -> str:
    """Return a job in words (0033): its number and name, its parameter sets and how often each of them."""
    try:
        received = await link.ask(
            encode(Mid.JOB_DATA_REQUEST, revision, {"job_id": number}), Mid.JOB_DATA, optional=True
        )
    except RefusedByController:
        return str(number)
    decoded = decode(received.telegram)
    blocks = decoded.blocks.get("psets", ())
    steps = [f"set {each['pset_id'].content} x {each['batch_size'].content}" for each in blocks]
    return f"{number} {decoded.text('job_name') or ''}".rstrip() + f" ({', '.join(steps)})"


async def _identifiers(link: ControllerLink, options: OpenProtocolOptions) -> tuple[Mid, ...]:
    single = await _tells(link, Mid.IDENTIFIER_SUBSCRIBE, wanted=options.identifiers == "single")
    multiple = await _tells(link, Mid.IDENTIFIERS_SUBSCRIBE, wanted=options.identifiers == "multiple")
    found = (Mid.IDENTIFIER_DOWNLOAD,) * single + (Mid.IDENTIFIERS_DOWNLOAD,) * multiple
    return found[::-1] if options.identifiers == "multiple" else found


async def _tells(link: ControllerLink, mid: Mid, *, wanted: bool) -> bool:
    """Return whether something can be subscribed; what is not `wanted` is unsubscribed at once."""
    try:
        await link.ask(Telegram(mid=mid), Mid.ACCEPTED, optional=True)
    except RefusedByController as error:
        if error.code not in STILL_SUBSCRIBED:
            return False
    if not wanted:
        with contextlib.suppress(RefusedByController):
            await link.ask(Telegram(mid=UNSUBSCRIBE_OF[mid]), Mid.ACCEPTED, optional=True)
    return True
