"""What the YAML may say of an OPC UA server."""

from pathlib import Path
from typing import Any

import pytest
from asyncua.ua.uatypes import NodeId
from pydantic import ValidationError
from ruamel.yaml import YAML

import linewitness.devices.opcua
from linewitness.devices.opcua.nodes import portable, resolve
from linewitness.devices.opcua.options import OpcUaOptions as Options
from linewitness_simulators.press.library import ua

POINT = {"id": "force", "node": "ns=2;s=Press.Force", "record": "change"}
LEAST = {"id": "press-4", "driver": "opcua", "endpoint": "opc.tcp://10.0.0.5:4840", "points": [POINT]}
NAMESPACES = ("http://opcfoundation.org/UA/", "urn:server", "urn:acme:press")


def test_sample_is_accepted() -> None:
    sample = Path(linewitness.devices.opcua.__file__).with_name("sample.yaml")
    (device,) = YAML(typ="safe").load(sample.read_text(encoding="utf-8"))["devices"]
    assert [point.record for point in Options.model_validate(device).points] == [
        "change",
        "telemetry",
        "result",
        "alarm",
    ]


def test_port_is_4840_unless_said_otherwise() -> None:
    assert Options.model_validate(LEAST | {"endpoint": "opc.tcp://plc/a"}).endpoint == "opc.tcp://plc:4840/a"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"endpoint": "http://plc"}, "opc.tcp://host:4840"),
        ({"endpoint": "opc.tcp://anna:secret@plc"}, "password file"),
        ({"security": "basic256sha256"}, "certificate and key"),
        ({"security": {"policy": "none", "trusted": "x"}}, "uses no certificates"),
        (
            {"security": {"policy": "basic256sha256", "certificate": "a", "key": {"file": "b"}}},
            "exactly one of server_certificate and trusted",
        ),
        ({"security": "basic128rsa15"}, "aes256_sha256_rsapss"),
        ({"user": {"name": "anna"}}, "name and password"),
        ({"points": []}, "at least 1"),
        ({"points": [POINT, POINT]}, "more than one point is called force"),
        ({"points": [POINT | {"node": "Press.Force"}]}, "ns=2;s=Press.Force"),
        ({"points": [POINT | {"node": "ns=2;i=abc"}]}, "names no node"),
        ({"points": [POINT | {"record": "result"}]}, "belong together"),
        ({"points": [POINT | {"deadband": 0}]}, "greater than 0"),
        ({"pionts": []}, "not permitted"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Options.model_validate(LEAST | change)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("i=2258", ua.NodeId(2258, 0)),
        ("ns=2;s=a;b=c", ua.NodeId("a;b=c", 2)),
        ("nsu=urn:acme:press;s=Force", ua.NodeId("Force", 2)),
        ("nsu=urn:acme:press;i=7", ua.NodeId(7, 2)),
        ("nsu=urn:unknown;s=Force", None),
    ],
)
def test_node_is_found_by_index_or_by_namespace(text: str, node: NodeId | None) -> None:
    assert resolve(text, NAMESPACES) == node


def test_portable_name_leads_back_to_the_node() -> None:
    for node in (ua.NodeId("a;b", 2), ua.NodeId(2258, 0), ua.NodeId(5, 1)):
        assert resolve(portable(node, NAMESPACES), NAMESPACES) == node
