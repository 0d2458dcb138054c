"""Walk through a server and offer what it holds as points to paste into a YAML."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from asyncua import ua

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceRefused
from linewitness.base.patterns import Pattern
from linewitness.devices.opcua.connection.client import opened, spoken
from linewitness.devices.opcua.connection.server import Server, ask_server, batches, read
from linewitness.devices.opcua.connection.wire import AttributeIds, Client, ObjectIds, standard
from linewitness.devices.opcua.decoding.values import plain
from linewitness.devices.opcua.nodes import portable, resolve
from linewitness.devices.opcua.options import ServerOptions

#: Bits of AccessLevel (OPC 10000-3, 8.57).
READ, WRITE, HISTORY_READ = 0x01, 0x02, 0x04
PROPERTY: Final = standard(ObjectIds.PropertyType)
SERVER: Final = standard(ObjectIds.Server)
ID_LENGTH: Final = 63

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowsedNode:
    """One variable of the server."""

    node: str
    path: tuple[str, ...]
    type: str = ""
    unit: str | None = None
    value: str = ""
    writable: bool = False
    historic: bool = False


@dataclass(slots=True)
class _Walked:
    """What a walk has found so far."""

    variables: list[tuple[ua.NodeId, tuple[str, ...]]]
    units: dict[str, ua.NodeId]
    visited: set[str]


async def browse(
    options: ServerOptions,
    *,
    clock: Clock,
    start: str = "i=85",
    depth: int = 12,
    pattern: str = "",
    progress: Progress | None = None,
) -> list[BrowsedNode]:
    """Return the variables below `start` whose path matches `pattern` (RE2, any case).

    `progress` is called with the number of nodes seen and of variables found. Raises DeviceUnavailable or
    DeviceRefused.
    """
    wanted = Pattern(pattern, any_case=True)
    async with opened(options, clock) as client:
        with spoken(options.endpoint):
            server = await ask_server(client)
            root = resolve(start, server.namespaces)
            if root is None:
                raise DeviceRefused(
                    f"{options.endpoint} has no namespace of {start}", hint="`linewitness probe` lists them"
                )
            walked = await _walk(client, root, depth, server.nodes_per_browse, progress)
            walked.variables = [
                (node, path) for node, path in walked.variables if wanted.search("/".join(path))
            ]
            return await _describe(client, server, walked)


async def _walk(
    client: Client, root: ua.NodeId, depth: int, limit: int, progress: Progress | None
) -> _Walked:
    walked = _Walked([], {}, {root.to_string()})
    level: list[tuple[ua.NodeId, tuple[str, ...]]] = [(root, ())]
    for _ in range(depth):
        below: list[tuple[ua.NodeId, tuple[str, ...]]] = []
        for batch in batches(level, limit):
            answers = await _references(client, [node for node, _ in batch])
            for (parent, path), references in zip(batch, answers, strict=True):
                below += _sort(walked, parent, path, references)
            if progress is not None:
                progress(len(walked.visited), len(walked.variables))
        if not below:
            break
        level = below
    return walked


def _sort(
    walked: _Walked, parent: ua.NodeId, path: tuple[str, ...], references: Iterable[Any]
) -> list[tuple[ua.NodeId, tuple[str, ...]]]:
    """Keep what was found below one node; return what is to be looked into next."""
    below: list[tuple[ua.NodeId, tuple[str, ...]]] = []
    for reference in references:
        node, name = reference.NodeId, reference.BrowseName.Name or ""
        if reference.TypeDefinition == PROPERTY:
            if name == "EngineeringUnits":
                walked.units[parent.to_string()] = node
            continue
        if node.to_string() in walked.visited or node == SERVER:
            continue
        walked.visited.add(node.to_string())
        here = (*path, name)
        if reference.NodeClass == ua.NodeClass.Variable:
            walked.variables.append((node, here))
        below.append((node, here))
    return below


async def _references(client: Client, nodes: Sequence[ua.NodeId]) -> list[list[Any]]:
    """Return the references of each node to what it holds, over as many answers as the server needs."""
    request = ua.BrowseParameters()
    request.View = ua.ViewDescription()
    request.RequestedMaxReferencesPerNode = 0
    request.NodesToBrowse = [_below(node) for node in nodes]
    results = await client.uaclient.browse(request)
    found: list[list[Any]] = []
    for result in results:
        references = list(result.References or [])
        point = result.ContinuationPoint
        while point:
            following = ua.BrowseNextParameters(ReleaseContinuationPoints=False, ContinuationPoints=[point])
            more = (await client.uaclient.browse_next(following))[0]
            references += more.References or []
            point = more.ContinuationPoint
        found.append(references)
    return found


def _below(node: ua.NodeId) -> ua.BrowseDescription:
    wanted = ua.BrowseDescription()
    wanted.NodeId = node
    wanted.BrowseDirection = ua.BrowseDirection.Forward
    wanted.ReferenceTypeId = standard(ObjectIds.HierarchicalReferences)
    wanted.IncludeSubtypes = True
    wanted.NodeClassMask = ua.NodeClass.Object | ua.NodeClass.Variable
    wanted.ResultMask = ua.BrowseResultMask.All
    return wanted


async def _describe(client: Client, server: Server, walked: _Walked) -> list[BrowsedNode]:
    """Read types, access, values and units of the variables."""
    nodes = [node for node, _ in walked.variables]
    limit = server.nodes_per_read
    access = await read(client, nodes, limit=limit, attribute=AttributeIds.UserAccessLevel)
    values = await read(client, nodes, limit=limit)
    unit_nodes = [walked.units[node.to_string()] for node in nodes if node.to_string() in walked.units]
    units = iter(await read(client, unit_nodes, limit=limit))
    found: list[BrowsedNode] = []
    for (node, path), level, value in zip(walked.variables, access, values, strict=True):
        bits = level.Value.Value if level.Value and isinstance(level.Value.Value, int) else 0
        unit = next(units) if node.to_string() in walked.units else None
        if not bits & READ:
            continue
        one = BrowsedNode(
            node=portable(node, server.namespaces),
            path=path,
            writable=bool(bits & WRITE),
            historic=bool(bits & HISTORY_READ),
            unit=_unit(unit),
        )
        found.append(replace(one, type=_type(value), value=_shown(value)))
    return found


def _unit(value: ua.DataValue | None) -> str | None:
    content = value.Value.Value if value and value.Value else None
    name = getattr(content, "DisplayName", None)
    return name.Text if name is not None and name.Text else None


def _type(value: ua.DataValue) -> str:
    if value.Value is None or value.Value.VariantType is None:
        return ""
    return f"{value.Value.VariantType.name}{'[]' if value.Value.is_array else ''}"


def _shown(value: ua.DataValue) -> str:
    text = str(plain(value.Value))
    return text if len(text) <= ID_LENGTH else f"{text[:ID_LENGTH]}…"


def point_ids(found: Sequence[BrowsedNode]) -> list[str]:
    """Return a valid and unique point id for each variable, made from the end of its path."""
    taken: set[str] = set()
    made: list[str] = []
    for one in found:
        base = re.sub(r"[^a-z0-9_.-]+", "-", ".".join(one.path[-2:]).lower()).strip("-._") or "point"
        name, number = base[:ID_LENGTH], 1
        while name in taken:
            number += 1
            name = f"{base[: ID_LENGTH - len(str(number)) - 1]}-{number}"
        taken.add(name)
        made.append(name)
    return made


def to_yaml(found: Sequence[BrowsedNode]) -> str:
    """Return the variables as points: what may be written as evidence, all others as telemetry."""
    lines: list[str] = []
    for one, name in zip(found, point_ids(found), strict=True):
        notes = [one.type, *(["history"] if one.historic else []), f"now {one.value}"]
        lines.append(f"- id: {name}    # {', '.join(note.replace(chr(10), ' ') for note in notes if note)}")
        lines.append(f"  node: {_quoted(one.node)}")
        lines.append(f"  record: {'change' if one.writable else 'telemetry'}")
        if one.unit:
            lines.append(f"  unit: {_quoted(one.unit)}")
    return "\n".join(lines) + "\n" if lines else ""


def _quoted(text: str) -> str:
    """Return text as a YAML scalar in single quotes, which escape nothing but themselves."""
    return "'" + text.replace("'", "''") + "'"
