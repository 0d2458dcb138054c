"""Answer what clients ask of parameter sets and jobs, and select them: 0010 to 0039, and 0127."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from linewitness_simulators.torque import device, fields, wire
from linewitness_simulators.torque.session import ClientSession, RequestRefused
from linewitness_simulators.torque.telegrams import number_at
from linewitness_simulators.torque.wire import Telegram

Handler = Callable[[ClientSession, Telegram], Awaitable[None]]

NO_SUCH_SET: Final = 2
CANNOT_SELECT: Final = 3
JOB_ABSENT: Final = 17
NO_SUCH_JOB: Final = 20
JOB_NOT_RUNNING: Final = 21
#: In 0032, the job that is running.
RUNNING: Final = 0


async def parameter_sets(session: ClientSession, _: Telegram) -> None:
    """0010 → 0011 revision 1."""
    ids = sorted(session.controller.setup.parameter_sets)
    data = f"{len(ids):03d}{''.join(f'{n:03d}' for n in ids)}"
    await session.reply(wire.compose(11, 1, data.encode()))


async def parameter_set_data(session: ClientSession, telegram: Telegram) -> None:
    """0012 → 0013."""
    controller = session.controller
    number = number_at(telegram.data, 0, 3)
    if number not in controller.setup.parameter_sets:
        raise RequestRefused(NO_SUCH_SET)
    values = fields.parameter_set(device.parameter_set(controller.setup, controller.state, number))
    await session.reply(wire.encode(controller.faults, 13, telegram.revision, values))


async def select_parameter_set(session: ClientSession, telegram: Telegram) -> None:
    """0018: the answer comes before the event 0015."""
    number = number_at(telegram.data, 0, 3)
    if number not in session.controller.setup.parameter_sets:
        raise RequestRefused(CANNOT_SELECT)
    await session.accept(18)
    session.controller.select_parameter_set(number)


async def set_batch_size(session: ClientSession, telegram: Telegram) -> None:
    """0019."""
    number = number_at(telegram.data, 0, 3)
    size = number_at(telegram.data, 3, 2 if telegram.revision == 1 else 4)
    if number not in session.controller.setup.parameter_sets:
        raise RequestRefused(NO_SUCH_SET)
    session.controller.set_batch_size(number, size)
    await session.accept(19)


async def jobs(session: ClientSession, telegram: Telegram) -> None:
    """0030 → 0031."""
    controller = session.controller
    values = fields.job_ids(sorted(controller.setup.jobs))
    await session.reply(wire.encode(controller.faults, 31, telegram.revision, values))


async def job_data(session: ClientSession, telegram: Telegram) -> None:
    """0032 → 0033; from revision 2 on, job 0 is the one that is running."""
    controller = session.controller
    number = _job_number(telegram)
    if number == RUNNING and telegram.revision > 1:
        number = controller.state.job
    job = controller.setup.jobs.get(number)
    if job is None:
        raise RequestRefused(JOB_ABSENT)
    await session.reply(wire.encode(controller.faults, 33, telegram.revision, fields.job_data(job)))


async def select_job(session: ClientSession, telegram: Telegram) -> None:
    """0038."""
    number = _job_number(telegram)
    if number and number not in session.controller.setup.jobs:
        raise RequestRefused(NO_SUCH_JOB)
    await session.accept(38)
    session.controller.select_job(number)


async def restart_job(session: ClientSession, telegram: Telegram) -> None:
    """0039: the job that is running begins anew."""
    number = _job_number(telegram)
    if not number or number != session.controller.state.job:
        raise RequestRefused(JOB_NOT_RUNNING)
    await session.accept(39)
    session.controller.select_job(number)


async def abort_job(session: ClientSession, _: Telegram) -> None:
    """0127: no job runs any more."""
    await session.accept(127)
    session.controller.select_job(0)


def _job_number(telegram: Telegram) -> int:
    return number_at(telegram.data, 0, 2 if telegram.revision == 1 else 4)


PROGRAM_REQUESTS: Final[Mapping[int, Handler]] = {
    10: parameter_sets,
    12: parameter_set_data,
    30: jobs,
    32: job_data,
}
#: What changes the controller.
PROGRAM_COMMANDS: Final[Mapping[int, Handler]] = {
    18: select_parameter_set,
    19: set_batch_size,
    38: select_job,
    39: restart_job,
    127: abort_job,
}
