"""The library's names that its own package does not export by type, and its node numbers."""

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors._base import UaError, UaStatusCodeError

__all__ = [
    "AttributeIds",
    "Client",
    "ObjectIds",
    "StatusCodes",
    "UaError",
    "UaStatusCodeError",
    "standard",
]


def standard(number: int) -> ua.NodeId:
    """Return the node with this number in OPC UA's own namespace."""
    return ua.NodeId(ua.Int32(number))
