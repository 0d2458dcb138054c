"""Settings of devices that contradict each other: a counter in its own result, security without any."""

from pathlib import Path

import pytest

from support.lines import call

HEAD = """\
version: 1
line: {tenant: acme, plant: p, line: l, gateway: g, origin: acme.example/p/l/1}
journal: {directory: journal}
devices:
"""
COUNTER = """\
  - id: oven
    driver: modbus
    host: 10.0.0.6
    results:
      - id: cycle
        pattern: counter
        counter: {address: 10, type: uint16}
        fields:
"""
RING = COUNTER.replace("pattern: counter", "pattern: ring\n        slots: 8\n        stride: 16")
OPCUA = """\
  - id: press
    driver: opcua
    endpoint: opc.tcp://10.0.0.5
    points: [{id: a, node: i=1, record: change}]
"""


def checked(folder: Path, device: str) -> tuple[int, list[str]]:
    file = folder / "line.yaml"
    file.write_text(HEAD + device, encoding="utf-8")
    result = call("check", file)
    return result.exit_code, [line.removeprefix(f"{file}:") for line in result.output.splitlines()]


def field(settings: str) -> str:
    return f"          - {{{settings}}}\n"


@pytest.mark.parametrize(
    ("block", "value", "told"),
    [
        (COUNTER, "id: peak, address: 9, type: float32", "field peak, 9 to 10: a"),
        (COUNTER, "id: serial, address: 4, type: string, length: 16", "field serial, 4 to 11: a"),
        (COUNTER, "id: peak, address: 10, type: int16, scale: 0.1", "field peak, 10 to 10: a"),
        (RING, "id: peak, address: 10, type: uint16", "field peak, 10 to 10 in slot 1 of 8: a"),
    ],
)
def test_a_counter_in_the_values_of_its_result_is_an_error(
    tmp_path: Path, block: str, value: str, told: str
) -> None:
    code, lines = checked(tmp_path, block + field(value))
    line = "13" if "slots" in block else "11"
    assert (code, lines) == (
        2,
        [
            (
                f"{line}:28: devices.oven.results.cycle: the counter at 10 lies in the registers of {told} "
                "result would overwrite its own number; correct one of the addresses"
            )
        ],
    )


def test_a_counter_that_a_later_slot_overwrites_is_an_error(tmp_path: Path) -> None:
    ring = RING.replace("address: 10,", "address: 250,")
    code, [line] = checked(tmp_path, ring + field("id: peak, address: 218, type: float32"))
    assert (code, "field peak, 250 to 251 in slot 3 of 8: a result" in line) == (2, True)


@pytest.mark.parametrize(
    ("block", "value"),
    [
        (COUNTER, "id: peak, address: 11, type: float32"),
        (COUNTER, "id: peak, address: 8, type: float32"),
        (COUNTER, "id: peak, table: input, address: 9, type: float32"),
        (RING, "id: peak, address: 11, type: float32"),
        (RING.replace("stride: 16", "stride: 1"), "id: peak, address: 11, type: uint16"),
    ],
)
def test_a_counter_beside_the_values_is_right(tmp_path: Path, block: str, value: str) -> None:
    code, [line] = checked(tmp_path, block + field(value))
    assert (code, "warning" in line) == (0, False)


def test_a_field_that_is_the_counter_is_doubted_unless_it_is_named_as_the_number(tmp_path: Path) -> None:
    value = field("id: number, address: 10, type: uint16")
    code, [warning, _] = checked(tmp_path, COUNTER + value)
    assert (code, warning) == (
        0,
        (
            "13:35: warning: devices.oven.results.cycle.fields.number.address: number is the counter itself: "
            "the result's number will be recorded as a value (correct the address, or say number_field: "
            "number if the number is meant)"
        ),
    )
    named = COUNTER.replace("        fields:\n", "        number_field: number\n        fields:\n")
    code, lines = checked(tmp_path, named + value)
    assert (code, len(lines)) == (0, 1)


def test_a_handshake_that_is_written_into_a_value_is_an_error(tmp_path: Path) -> None:
    block = COUNTER.replace("        fields:\n", "        handshake: 21\n        fields:\n")
    code, lines = checked(tmp_path, block + field("id: peak, address: 20, type: float32"))
    assert (code, lines) == (
        2,
        [
            (
                "12:20: devices.oven.results.cycle: the handshake at 21 is written into the registers of "
                "field peak, 20 to 21; correct one of the addresses"
            )
        ],
    )


@pytest.mark.parametrize(("mode", "words"), [("sign", "signed"), ("sign_and_encrypt", "signed or encrypted")])
def test_a_mode_with_security_policy_none_is_an_error(tmp_path: Path, mode: str, words: str) -> None:
    code, lines = checked(tmp_path, OPCUA + f"    security: {{policy: none, mode: {mode}}}\n")
    assert (code, lines) == (
        2,
        [
            (
                f"9:36: devices.press.security: policy none has no mode: nothing would be {words}; choose a "
                "policy, or leave mode out"
            )
        ],
    )


@pytest.mark.parametrize("security", ["none", "{policy: none}"])
def test_security_policy_none_alone_is_allowed(tmp_path: Path, security: str) -> None:
    assert checked(tmp_path, OPCUA + f"    security: {security}\n")[0] == 0
