"""Operate a simulated controller over a loopback port: one JSON object a line, one answer a line."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from linewitness.base.listening import stop_accepting
from linewitness_simulators.torque.device import ToolDisabledError
from linewitness_simulators.torque.options import TorqueFaults, TorqueOptions

if TYPE_CHECKING:
    from linewitness_simulators.torque.server import TorqueSimulator

Arguments = Mapping[str, Any]
Action = Callable[["TorqueSimulator", Arguments], Awaitable[object]]

LOOPBACK: Final = "127.0.0.1"


async def _tighten(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    values = dict(arguments)
    count = values.pop("count", 1)
    if "at" in values:
        values["at"] = datetime.fromisoformat(values["at"])
    made = [simulator.tighten(**values) for _ in range(count)]
    return made if count != 1 else made[0]


async def _vin(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    simulator.set_vin(arguments["vin"])
    return arguments["vin"]


async def _results(simulator: "TorqueSimulator", _: Arguments) -> object:
    return [asdict(made) for made in simulator.results()]


async def _stored(simulator: "TorqueSimulator", _: Arguments) -> object:
    return simulator.stored()


async def _acked(simulator: "TorqueSimulator", _: Arguments) -> object:
    return simulator.acked


async def _ledger(simulator: "TorqueSimulator", _: Arguments) -> object:
    return [asdict(entry) for entry in simulator.ledger.entries]


async def _status(simulator: "TorqueSimulator", _: Arguments) -> object:
    state = asdict(simulator.controller.state)
    return {
        "port": simulator.port,
        "clients": simulator.clients,
        "subscribed": simulator.subscribed(),
        **state,
    }


async def _fault(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    set_faults(simulator.faults, arguments)
    return sorted(arguments)


async def _restart(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    await simulator.restart(**arguments)
    return simulator.port


async def _drop(simulator: "TorqueSimulator", _: Arguments) -> object:
    simulator.drop()
    return simulator.clients


async def _purge(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    simulator.purge(**arguments)
    return simulator.stored()


async def _reset(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    simulator.reset(**arguments)
    return simulator.controller.state.next_id


async def _skip(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    simulator.skip_ids(**arguments)
    return simulator.controller.state.next_id


async def _push_again(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    simulator.push_again(**arguments)
    return arguments["number"]


async def _alarm(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    simulator.alarm(**arguments)
    return len(simulator.controller.alarms)


async def _clock(simulator: "TorqueSimulator", arguments: Arguments) -> object:
    if "to" in arguments:
        simulator.set_clock(datetime.fromisoformat(arguments["to"]))
    else:
        simulator.jump_clock(arguments["by_s"])
    return simulator.controller.times()[1]


ACTIONS: Final[Mapping[str, Action]] = {
    "tighten": _tighten,
    "vin": _vin,
    "results": _results,
    "stored": _stored,
    "acked": _acked,
    "ledger": _ledger,
    "status": _status,
    "fault": _fault,
    "restart": _restart,
    "drop": _drop,
    "purge": _purge,
    "reset": _reset,
    "skip": _skip,
    "push-again": _push_again,
    "alarm": _alarm,
    "clock": _clock,
}


def set_faults(faults: TorqueFaults, values: Arguments) -> None:
    """Set switches by name, from JSON or the command line.

    Raises KeyError for one that does not exist, and ValueError for a value of another kind.
    """
    known = {each.name for each in fields(faults)}
    for name, value in values.items():
        if name not in known:
            raise KeyError(f"no fault is called {name}; there are {', '.join(sorted(known))}")
        setattr(faults, name, _fitting(name, getattr(faults, name), value))


def _fitting(name: str, now: object, value: Any) -> object:
    """Return a JSON value as the kind that the switch holds."""
    match now, value:
        case frozenset(), list():
            return frozenset(value)
        case dict(), dict():
            return value if name == "garbled_fields" else {int(key): int(each) for key, each in value.items()}
        case (bool(), bool()) | (int() | float(), int() | float()) | (None, str() | int() | None):
            return value
        case _:
            raise ValueError(f"{name} cannot be {value!r}")


async def _respond(simulator: "TorqueSimulator", line: bytes) -> dict[str, object]:
    try:
        arguments = json.loads(line)
        action = ACTIONS[arguments.pop("do")]
        return {"ok": True, "answer": await action(simulator, arguments)}
    except (ValueError, TypeError, KeyError, AttributeError, ToolDisabledError) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


@asynccontextmanager
async def serve_control(simulator: "TorqueSimulator", options: TorqueOptions) -> AsyncIterator[int | None]:
    """Open the control port, where one is wanted, and yield its number."""
    if options.control_port is None:
        yield None
        return
    writers: set[asyncio.StreamWriter] = set()

    async def operate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await _respond(simulator, line)).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(operate, LOOPBACK, options.control_port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await stop_accepting(server)
        for writer in list(writers):
            writer.transport.abort()
