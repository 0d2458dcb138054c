"""Walk through a server and offer what it holds as points to paste into a YAML."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from asyncua import ua

from linewitness.base.clock import Clock
from linewitness.base.errors import ConfigurationError, DeviceUnavailable
from linewitness.base.patterns import Pattern
from linewitness.devices.opcua.connection.client import opened
from linewitness.devices.opcua.connection.failures import DeviceAnswerTooLarge, spoken
from linewitness.devices.opcua.connection.server import Server, ask_server, batches, read
from linewitness.devices.opcua.connection.wire import AttributeIds, Client, ObjectIds, StatusCodes, standard
from linewitness.devices.opcua.decoding.values import plain, status_name
from linewitness.devices.opcua.look.portions import Portions
from linewitness.devices.opcua.nodes import check_node, portable, resolve
from linewitness.devices.opcua.options import ServerOptions

#: Bits of AccessLevel (OPC 10000-3, 8.57).
READ, WRITE, HISTORY_READ = 0x01, 0x02, 0x04
#: What stands for a value that no answer can hold.
TOO_LARGE_VALUE: Final = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadResponseTooLarge)))
#: How much of a value is shown.
VALUE_LENGTH: Final = 63
PROPERTY: Final = standard(ObjectIds.PropertyType)
SERVER: Final = standard(ObjectIds.Server)

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


@dataclass(frozen=True, slots=True)
class _Walk:
    """What a walk looks for."""

    wanted: Pattern
    start: str
    depth: int
    progress: Progress | None


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

    `progress` is called with the number of nodes seen and of variables found. A request whose answer is too
    large is halved; where that ended the connection, all is asked again in smaller portions. Raises
    DeviceUnavailable or DeviceRefused, and ConfigurationError for a `start` that the server does not have.
    """
    _check_start(start)
    walk = _Walk(Pattern(pattern, any_case=True), start, depth, progress)
    portions = Portions()
    while True:
        before = portions.halvings
        try:
            async with opened(options, clock) as client:
                with spoken(options):
                    server = await ask_server(client)
                root = await _root(client, options, walk.start, server)
                with spoken(options):
                    return await _browse(client, server, root, walk, portions)
        except DeviceAnswerTooLarge:
            if portions.halvings == before and not portions.halve():
                raise
        except DeviceUnavailable:
            if portions.halvings == before:
                raise


def _check_start(start: str) -> None:
    try:
        check_node(start)
    except ValueError as error:
        raise ConfigurationError(f"--start: {error}") from None


async def _root(client: Client, options: ServerOptions, start: str, server: Server) -> ua.NodeId:
    """Return the node to begin at; ConfigurationError if the server does not have it."""
    root = resolve(start, server.namespaces)
    if root is None:
        raise ConfigurationError(
            f"--start: {options.endpoint} has no namespace of {start}", hint="`linewitness probe` lists them"
        )
    with spoken(options):
        (known,) = await read(client, [root], limit=1, attribute=AttributeIds.NodeClass)
    if known.StatusCode is not None and not known.StatusCode.is_good():
        raise ConfigurationError(
            f"--start: {options.endpoint} does not show the node {start}: {status_name(known.StatusCode)}",
            hint="leave --start out to see all nodes, and take one of those that are listed",
        )
    return root


async def _browse(
    client: Client, server: Server, root: ua.NodeId, walk: _Walk, portions: Portions
) -> list[BrowsedNode]:
    walked = await _walk(client, root, walk, server.nodes_per_browse, portions)
    walked.variables = [(node, path) for node, path in walked.variables if walk.wanted.search("/".join(path))]
    return await _describe(client, server, walked, portions)


async def _walk(client: Client, root: ua.NodeId, walk: _Walk, limit: int, portions: Portions) -> _Walked:
    walked = _Walked([], {}, {root.to_string()})
    level: list[tuple[ua.NodeId, tuple[str, ...]]] = [(root, ())]

    async def ask(nodes: list[ua.NodeId]) -> list[list[Any]]:
        return await _references(client, nodes, portions.references.of_a_node)

    for _ in range(walk.depth):
        below: list[tuple[ua.NodeId, tuple[str, ...]]] = []
        for batch in batches(level, limit):
            answers = await portions.ask(portions.references, [node for node, _ in batch], limit, ask)
            for (parent, path), references in zip(batch, answers, strict=True):
                below += _sort(walked, parent, path, references)
            if walk.progress is not None:
                walk.progress(len(walked.visited), len(walked.variables))
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


async def _references(client: Client, nodes: Sequence[ua.NodeId], most: int) -> list[list[Any]]:
    """Return the references of each node to what it holds, over as many answers as are needed.

    An answer holds at most `most` references of a node; 0: as many as the server likes.
    """
    request = ua.BrowseParameters()
    request.View = ua.ViewDescription()
    request.RequestedMaxReferencesPerNode = most
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


async def _describe(client: Client, server: Server, walked: _Walked, portions: Portions) -> list[BrowsedNode]:
    """Read types, access, values and units of the variables."""
    nodes = [node for node, _ in walked.variables]

    async def levels(batch: list[ua.NodeId]) -> list[ua.DataValue]:
        return await read(client, batch, limit=len(batch), attribute=AttributeIds.UserAccessLevel)

    async def contents(batch: list[ua.NodeId]) -> list[ua.DataValue]:
        return await read(client, batch, limit=len(batch))

    limit = server.nodes_per_read
    access = await portions.ask(portions.access, nodes, limit, levels)
    values = await portions.ask(portions.values, nodes, limit, contents, instead=TOO_LARGE_VALUE)
    unit_nodes = [walked.units[node.to_string()] for node in nodes if node.to_string() in walked.units]
    units = iter(await portions.ask(portions.values, unit_nodes, limit, contents, instead=TOO_LARGE_VALUE))
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
    text = "too large to be shown" if value is TOO_LARGE_VALUE else str(plain(value.Value))
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}…"
