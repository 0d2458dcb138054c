"""Name nodes as the YAML does: by index (`ns=2;s=Press.Force`) or by namespace (`nsu=urn:acme;s=Force`)."""

import re
from collections.abc import Sequence
from typing import Annotated, Final

from asyncua import ua
from pydantic import AfterValidator

from linewitness.devices.opcua.connection.wire import UaError

#: How many names a message lists before it only counts.
NAMED: Final = 5
#: The namespace part comes first or not at all; a URI may hold everything but a semicolon.
_NODE = re.compile(r"^(?:(?:ns=\d{1,5}|nsu=(?P<uri>[^;]+));)?(?P<rest>[isgb]=.+)$", re.DOTALL)


def check_node(text: str) -> str:
    """Return `text` if it names a node; ValueError that shows the right form otherwise."""
    match = _NODE.match(text)
    if match is None:
        raise ValueError(
            f"{text!r} names no node: write ns=2;s=Press.Force or nsu=urn:acme:press;s=Press.Force"
        )
    plain = text if match["uri"] is None else match["rest"]
    try:
        ua.NodeId.from_string(plain)
    except (UaError, ValueError) as error:
        raise ValueError(f"{text!r} names no node: {error}") from None
    return text


NodeText = Annotated[str, AfterValidator(check_node)]


def resolve(text: str, namespaces: Sequence[str]) -> ua.NodeId | None:
    """Return the node that `text` names on a server with these namespaces; None if it lacks the namespace."""
    match = _NODE.match(text)
    if match is None or match["uri"] is None:
        return ua.NodeId.from_string(text)
    if match["uri"] not in namespaces:
        return None
    return ua.NodeId.from_string(f"ns={namespaces.index(match['uri'])};{match['rest']}")


def portable(node: ua.NodeId, namespaces: Sequence[str]) -> str:
    """Return a node's name by namespace URI, which survives a reordering of the server's namespaces."""
    text: str = node.to_string()
    if node.NamespaceIndex == 0 or node.NamespaceIndex >= len(namespaces):
        return text
    return f"nsu={namespaces[node.NamespaceIndex]};{text.partition(';')[2]}"


def listed(names: Sequence[str]) -> str:
    """Return a few names of points and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
