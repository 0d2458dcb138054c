"""What is allowed and is likely a mistake: `check` warns with file, line, column and what to do."""

from pathlib import Path

import pytest

from linewitness.config import examine
from support.lines import call

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "config").glob("*-line.yaml"))

HEAD = """\
version: 1
line: {tenant: acme, plant: p, line: l, gateway: g, origin: acme.example/p/l/1}
journal: {directory: journal}
devices:
"""
MODBUS = "  - id: oven\n    driver: modbus\n    host: 10.0.0.6\n    points:\n"
OPCUA = "  - id: press\n    driver: opcua\n    endpoint: opc.tcp://10.0.0.5\n    points:\n"
RESULT = (
    "    results:\n      - id: cycle\n        pattern: counter\n        counter: {address: 200}\n"
    "        fields:\n"
)
VKEY = "store.acme.example/audit+b4dcf61e+BCMFTsFbsxey08iKGh/jeH91ZmwnP+9Z3DJHvz4wHZnA"


def warned(folder: Path, devices: str, more: str = "") -> list[str]:
    """Return what `check` warns of; the file is right all the same."""
    file = folder / "line.yaml"
    file.write_text(HEAD + devices + more, encoding="utf-8")
    checked = call("check", file)
    assert checked.exit_code == 0, checked.output
    assert f"{file}: ok, " in checked.output
    lines = [line.removeprefix(f"{folder}/") for line in checked.output.splitlines()]
    return [line for line in lines if ": warning: " in line and "is not there" not in line]


def named(entry: str) -> str:
    """Return an entry with a name, one for many where it stands for many points."""
    return f"id: 'z{{n}}', {entry}" if ".." in entry else f"id: a, {entry}"


def points(*entries: str) -> str:
    return "".join(f"      - {{{entry}}}\n" for entry in entries)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_examples_are_beyond_doubt(file: Path) -> None:
    assert [doubt.warning for doubt in examine(file)[1]] == []


def test_an_address_as_in_a_manual_is_explained_and_both_meanings_are_offered(tmp_path: Path) -> None:
    [told] = warned(tmp_path, MODBUS + points("id: a, address: 40011, type: int16, record: change"))
    assert told == (
        "line.yaml:9:26: warning: devices.oven.points.a.address: this is the address 40011 on the wire; in a "
        "manual, 40011 means register 11 of table holding (if it is the manual's, write registers: 40011, or "
        "address: 10; registers: 440012 says that it is not)"
    )


@pytest.mark.parametrize(
    ("entry", "offered"),
    [
        ("table: input, address: 30005", "write registers: 30005, or address: 4;"),
        ("address: 30005", "write registers: 30005, or table: input, address: 4; registers: 430006 says"),
        ("address: 40001..40010", "write registers: 40001, or address: 0;"),
    ],
)
def test_what_is_offered_fits_the_table(tmp_path: Path, entry: str, offered: str) -> None:
    [told] = warned(tmp_path, MODBUS + points(named(f"{entry}, type: int16, record: change")))
    assert offered in told


@pytest.mark.parametrize(
    "entry",
    [
        "registers: 40011, type: int16",
        "registers: 440012, type: int16",
        "registers: 440012..440015, type: int16",
        "address: 40000, type: int16",
        "table: input, address: 40011, type: int16",
        "table: holding, address: 30005, type: int16",
        "table: coil, address: 40011",
        "address: 9999, type: int16",
    ],
)
def test_an_address_that_no_manual_writes_so_is_taken_as_it_is(tmp_path: Path, entry: str) -> None:
    assert warned(tmp_path, MODBUS + points(named(f"{entry}, record: change"))) == []


def test_addresses_of_a_manual_are_told_once_for_a_device(tmp_path: Path) -> None:
    entries = [
        f"id: p{number}, address: {40001 + number}, type: int16, record: change" for number in range(9)
    ]
    field = "          - {id: peak, address: 40021, type: int16}\n"
    [told] = warned(tmp_path, MODBUS + points(*entries) + RESULT + field)
    assert "points.p0.address: " in told
    assert "; 9 more like it (" in told


def test_the_address_of_a_result_is_doubted_with_what_can_be_written_there(tmp_path: Path) -> None:
    field = "          - {id: peak, address: 40021, type: int16}\n"
    [told] = warned(tmp_path, MODBUS.removesuffix("    points:\n") + RESULT + field)
    assert told.startswith("line.yaml:13:33: warning: devices.oven.results.cycle.fields.peak.address: ")
    assert told.endswith("(if it is the manual's, write address: 20)")


def test_a_row_of_a_table_is_doubted_at_its_cell(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("id,address,type,record\nforce,40012,int16,change\n")
    device = MODBUS.removesuffix("    points:\n") + "    points_from: points.csv\n"
    [told] = warned(tmp_path, device)
    assert told.startswith("points.csv:2:7: warning: devices.oven.points.force.address: this is the address")


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (
            "address: 1, type: float32",
            "address: 2, type: int16",
            "b reads address 2 as int16, and a reads addresses 1 to 2 as float32",
        ),
        (
            "address: 1, type: int16",
            "address: 1, type: uint16",
            "b reads address 1 as uint16, and a reads address 1 as int16",
        ),
        (
            "address: 1, type: float32",
            "address: 2, type: float32",
            "b reads addresses 2 to 3 as float32, and a reads addresses 1 to 2 as float32",
        ),
        (
            "address: 1, type: string, length: 8",
            "address: 4, type: bits, bits: {door: 1}",
            "b reads address 4 as bits, and a reads addresses 1 to 4 as string",
        ),
    ],
)
def test_registers_of_two_types_are_doubted(tmp_path: Path, first: str, second: str, told: str) -> None:
    entries = points(f"id: a, {first}, record: change", f"id: b, {second}, record: change")
    [line] = warned(tmp_path, MODBUS + entries)
    assert line.startswith("line.yaml:10:26: warning: devices.oven.points.b.address: ")
    assert told in line
    assert line.endswith("(correct an address or a type; leave it if both are meant)")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("address: 1, type: int16", "address: 1, type: int16, unit: K"),
        ("address: 1, type: uint16", "address: 1, type: bits, bits: {door: 1}"),
        ("address: 1, type: uint32", "address: 2, type: bool, bit: 3"),
        ("address: 1, type: bits, bits: {door: 1}", "address: 1, type: bool, bit: 3"),
        ("address: 1, type: float32", "address: 3, type: int16"),
        ("address: 1, type: float32", "table: input, address: 2, type: int16"),
        ("table: coil, address: 1", "table: discrete, address: 1"),
    ],
)
def test_flags_of_a_word_and_registers_side_by_side_are_no_doubt(
    tmp_path: Path, first: str, second: str
) -> None:
    entries = points(f"id: a, {first}, record: change", f"id: b, {second}, record: change")
    assert warned(tmp_path, MODBUS + entries) == []


def test_a_point_and_a_field_of_a_result_are_compared(tmp_path: Path) -> None:
    field = "          - {id: peak, address: 210, type: float32}\n"
    point = points("id: a, address: 211, type: int16, record: telemetry")
    [told] = warned(tmp_path, MODBUS + point + RESULT + field)
    assert "a reads address 211 as int16, and cycle.peak reads addresses 210 to 211 as float32" in told


def test_fields_of_a_queue_are_compared_with_each_other_only(tmp_path: Path) -> None:
    queue = (
        "    results:\n      - id: cycle\n        pattern: fifo\n        fifo: 400\n        stride: 5\n"
        "        number_field: number\n        fields:\n"
        "          - {id: number, address: 0, type: uint16}\n"
        "          - {id: peak, address: 1, type: float32}\n"
    )
    point = points("id: a, address: 2, type: int16, record: telemetry")
    assert warned(tmp_path, MODBUS + point + queue) == []
    [told] = warned(tmp_path, MODBUS + point + queue + "          - {id: soak, address: 2, type: uint16}\n")
    assert "cycle.soak reads address 2 as uint16, and cycle.peak reads" in told


def test_dots_in_names_that_become_topics_are_doubted(tmp_path: Path) -> None:
    uplink = "uplink: {url: 'mqtt://10.0.0.1'}\nstore: {vkey: " + VKEY + "}\n"
    telemetry = points("id: a, address: 2, type: int16, record: telemetry")
    evidence = points("id: a, address: 2, type: int16, record: change")
    dotted = MODBUS.replace("oven", "oven.1") + telemetry + MODBUS.replace("oven", "oven.2") + evidence
    [told] = warned(tmp_path, dotted, uplink)
    assert told.startswith("line.yaml:5:9: warning: devices.oven.1.id: oven.1 becomes a part of MQTT topics")
    assert warned(tmp_path, dotted) == []
    file = tmp_path / "line.yaml"
    file.write_text((HEAD + MODBUS + evidence + uplink).replace("gateway: g", "gateway: g.02"), "utf-8")
    assert "warning: line.gateway: g.02 becomes a part of MQTT topics" in call("check", file).output


def test_no_more_warnings_are_told_than_somebody_reads(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(
        "id,address,type,record\n" + "".join(f"p{number},{number},float32,change\n" for number in range(500))
    )
    told = warned(tmp_path, MODBUS.removesuffix("    points:\n") + "    points_from: points.csv\n")
    assert len(told) == 101
    assert told[-1].endswith("and 399 more warnings (look at these first)")


@pytest.mark.parametrize("record", ["change", "telemetry", "alarm"])
def test_a_node_that_is_recorded_twice_is_doubted(tmp_path: Path, record: str) -> None:
    entries = points(f"id: a, node: i=2253, record: {record}", f"id: b, node: ns=0;i=2253, record: {record}")
    assert warned(tmp_path, OPCUA + entries) == [
        (
            f"line.yaml:10:23: warning: devices.press.points.b.node: a names the same node and records "
            f"{record} too: each value will be recorded twice (correct the node, or leave one of them out)"
        )
    ]


def test_a_node_as_evidence_and_as_telemetry_is_no_doubt(tmp_path: Path) -> None:
    result = "record: result, result: {fields: [{id: force, node: ns=2;s=Force}]}"
    entries = points(
        "id: a, node: ns=2;s=N, record: change",
        "id: b, node: ns=2;s=N, record: telemetry",
        f"id: c, node: ns=2;s=N, {result}",
    )
    assert warned(tmp_path, OPCUA + entries) == []


@pytest.mark.parametrize(
    ("handshake", "told"),
    [
        ("", "each result will be recorded twice"),
        (", handshake: {node: ns=2;s=Done}", "lets the PLC overwrite what the other has not read yet"),
    ],
)
def test_a_trigger_of_two_results_is_doubted(tmp_path: Path, handshake: str, told: str) -> None:
    plain = "node: ns=2;s=N, record: result, result: {fields: [{id: force, node: ns=2;s=Force}]"
    entries = points(f"id: a, {plain}}}", f"id: b, {plain}{handshake}}}")
    [line] = warned(tmp_path, OPCUA + entries)
    assert line.startswith("line.yaml:10:23: warning: devices.press.points.b.node: ")
    assert told in line


def test_two_fields_of_a_result_that_read_one_node_are_doubted(tmp_path: Path) -> None:
    fields = "[{id: peak, node: ns=2;s=Force}, {id: final, node: ns=2;s=Force}]"
    entry = points(f"id: a, node: ns=2;s=N, record: result, result: {{fields: {fields}}}")
    [told] = warned(tmp_path, OPCUA + entry)
    assert "points.a.result.fields.final.node: peak reads the same node: both will have the same" in told


def test_a_password_without_security_is_doubted(tmp_path: Path) -> None:
    user = "    user: {name: me, password: {file: pw}}\n"
    point = points("id: a, node: ns=2;s=N, record: change")
    [told] = warned(tmp_path, OPCUA + point + user)
    assert told.startswith(
        "line.yaml:10:32: warning: devices.press.user.password: with security policy none,"
    )
    assert "(set security.policy, such as basic256sha256)" in told


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "mqtts://b:1883",
            (
                "mqtts:// is with TLS, and 1883 is the usual port without it (write mqtts://b:8883 or "
                "mqtt://b:1883; leave it if the broker is set up so)"
            ),
        ),
        (
            "mqtt://b:8883",
            "mqtt:// is without TLS, and 8883 is the usual port with it (write mqtt://b:1883 or",
        ),
    ],
)
def test_the_port_of_the_other_protocol_is_doubted(tmp_path: Path, url: str, told: str) -> None:
    point = points("id: a, address: 1, type: int16, record: change")
    more = f"store: {{vkey: {VKEY}}}\nuplink:\n  url: {url}\n"
    [line] = warned(tmp_path, MODBUS + point, more)
    assert line.startswith("line.yaml:12:8: warning: uplink.url: ")
    assert told in line
    for usual in ("mqtts://b:8883", "mqtts://b", "mqtt://b", "mqtts://b:18883"):
        assert warned(tmp_path, MODBUS + point, more.replace(url, usual)) == []


@pytest.mark.parametrize(
    ("entry", "place", "told"),
    [
        (
            "address: 400011",
            "9:26",
            (
                "400011 is no address on the wire, which ends at 65535; in a manual it means table holding, "
                "address 10: write table: holding and address: 10, or registers: 400011"
            ),
        ),
        ("address: 400001..400004", "9:31", "write 0..499, or registers: 400001..400004"),
        ("register: 40011", "9:17", "there is no setting 'register' here (here it is called 'registers')"),
    ],
)
def test_a_manuals_number_that_is_no_address_is_an_error(
    tmp_path: Path, entry: str, place: str, told: str
) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(HEAD + MODBUS + points(named(f"{entry}, type: int16, record: change")))
    checked = call("check", file)
    assert checked.exit_code == 2
    [line] = [line for line in checked.output.splitlines() if told in line]
    assert line.startswith(f"{file}:{place}: devices.oven.points.")
