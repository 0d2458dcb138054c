"""Mistakes in the settings of PLCs are named by file, line, column and setting, with what would be right."""

from pathlib import Path

import pytest

from support.lines import call

HEAD = """\
version: 1
line: {tenant: acme, plant: p, line: l, gateway: g, origin: acme.example/p/l/1}
journal: {directory: journal}
devices:
"""

OPCUA = """\
  - id: press
    driver: opcua
    endpoint: http://10.0.0.5:4840
    silence_s: 0
    security: {policy: basic256sha257}
    points:
      - {id: holding, node: "ns=2;s=Press.Holding", record: change}
      - {id: force, node: Press.Force, record: telemetry}
      - id: limits
        node: ns=2;s=Press.Limits
        record: chnage
        sampling_ms: -5
        deadbnad: 1
"""

MODBUS = """\
  - id: oven
    driver: modbus
    host: 10.0.0.6
    port: 99999
    points:
      - {id: zone-1, address: 0, type: unit16, record: telemetry}
      - {id: zone-2, address: 70000, type: uint16, record: telemetry}
      - id: recipe
        adress: 7
        type: string
        record: change
    results:
      - id: cycle
        pattern: ringg
        counter: {address: 200}
        fields: [{id: peak, address: 218, type: float32}]
"""


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (
            OPCUA,
            {
                "7:15: devices.press.endpoint: ": "opc.tcp://",
                "8:16: devices.press.silence_s: ": "1",
                "9:24: devices.press.security.policy: ": "basic256sha256",
                "12:27: devices.press.points.force.node: ": "ns=2;s=Press.Force",
                "15:17: devices.press.points.limits.record: ": "change",
                "16:22: devices.press.points.limits.sampling_ms: ": "0",
                "17:9: devices.press.points.limits.deadbnad: ": "deadband",
            },
        ),
        (
            MODBUS,
            {
                "8:11: devices.oven.port: ": "65535",
                "10:40: devices.oven.points.zone-1.type: ": "uint16",
                "11:31: devices.oven.points.zone-2.address: ": "65536",
                "13:9: devices.oven.points.recipe.adress: ": "address",
                "18:18: devices.oven.results.cycle.pattern: ": "ring",
            },
        ),
    ],
    ids=["opcua", "modbus"],
)
def test_complaint_17_every_mistake_has_its_place_and_says_what_would_be_right(
    tmp_path: Path, text: str, places: dict[str, str]
) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(HEAD + text)
    checked = call("check", file)
    assert checked.exit_code == 2
    lines = checked.output.splitlines()
    for place, hint in places.items():
        found = [line for line in lines if line.startswith(f"{file}:{place}")]
        assert found, f"{place} is not in\n{checked.output}"
        assert hint in found[0], found[0]
    assert all(line.startswith(f"{file}:") for line in lines), checked.output
