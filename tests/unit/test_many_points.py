"""Points by the hundred: ranges of registers, and tables that lie beside the YAML."""

from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.config import Config, ConfigurationErrors, load
from linewitness.config.explain import explain_device, summary
from linewitness.devices.modbus.points import ModbusPoint

HEAD = """\
version: 1
line: {tenant: acme, plant: ber-01, line: line-02, gateway: gw-02, origin: acme.example/ber-01/line-02/1}
journal: {directory: state}
devices:
  - id: oven
    driver: modbus
    host: 10.0.0.7
"""
OPCUA = HEAD.replace("driver: modbus\n    host: 10.0.0.7", "driver: opcua\n    endpoint: opc.tcp://plc")


def line(folder: Path, more: str, head: str = HEAD) -> Path:
    file = folder / "line.yaml"
    file.write_text(head + more, encoding="utf-8")
    return file


def points(config: Config) -> tuple[ModbusPoint, ...]:
    return cast(tuple[ModbusPoint, ...], cast(Any, config.devices[0]).points)


def ranged(folder: Path, entry: str) -> tuple[ModbusPoint, ...]:
    return points(load(line(folder, f"    points:\n      - {{{entry}}}\n")))


def refused(file: Path) -> str:
    with pytest.raises(ConfigurationErrors) as caught:
        load(file)
    return str(caught.value).replace(f"{file.parent}/", "")


def test_a_range_of_registers_is_one_point_a_value(tmp_path: Path) -> None:
    made = ranged(
        tmp_path, "id: 'zone-{n:03}', registers: 40001..40500, type: int16, record: telemetry, unit: °C"
    )
    assert len(made) == 500
    assert (made[0].id, made[0].table, made[0].address, made[0].unit) == ("zone-001", "holding", 0, "°C")
    assert (made[499].id, made[499].address) == ("zone-500", 499)


def test_points_of_a_range_lie_as_far_apart_as_their_type_is_wide(tmp_path: Path) -> None:
    made = ranged(tmp_path, "id: 'v{n}', registers: 30011..30018, type: float32, record: telemetry")
    assert [(each.id, each.table, each.address) for each in made] == [
        ("v1", "input", 10),
        ("v2", "input", 12),
        ("v3", "input", 14),
        ("v4", "input", 16),
    ]


def test_strings_take_two_characters_a_register(tmp_path: Path) -> None:
    made = ranged(tmp_path, "id: 's{n}', address: 0..9, type: string, length: 9, record: change")
    assert [each.address for each in made] == [0, 5]


@pytest.mark.parametrize(
    ("registers", "table", "first"),
    [
        ("400001..400002", "holding", 0),
        ("465535..465536", "holding", 65_534),
        ("10004..10005", "discrete", 3),
        ("'00001..00002'", "coil", 0),
        ("000001 .. 000002", "coil", 0),
    ],
)
def test_references_are_those_of_manuals(tmp_path: Path, registers: str, table: str, first: int) -> None:
    kind = ", type: uint16" if table == "holding" else ""
    made = ranged(tmp_path, f"id: 'p{{n}}', registers: {registers}, record: telemetry{kind}")
    assert [(each.table, each.address) for each in made] == [(table, first), (table, first + 1)]


def test_a_name_may_carry_the_address(tmp_path: Path) -> None:
    made = ranged(tmp_path, "id: 'di-{address:04}', table: discrete, address: 16..17, record: change")
    assert [each.id for each in made] == ["di-0016", "di-0017"]


def test_a_single_register_is_written_as_in_the_manual(tmp_path: Path) -> None:
    [made] = ranged(tmp_path, "id: level, registers: 40011, type: float32, record: change")
    assert (made.id, made.table, made.address) == ("level", "holding", 10)


@pytest.mark.parametrize(
    ("entry", "shown", "what"),
    [
        (
            "id: 'z{n}', registers: 40001..40003, type: float32",
            "40001..40003",
            "3 registers are not a whole number",
        ),
        ("id: 'z{n}', address: 65530..65540, type: int16", "65530..65540", "65530..65540 leaves the table"),
        ("id: 'z{n}', registers: 49990..410010, type: int16", "49990..410010", "mixes 5 and 6 digits"),
        (
            "id: 'z{n}', registers: 40001..30004, type: int16",
            "40001..30004",
            "begins in one table and ends in another",
        ),
        ("id: 'z{n}', registers: 40009..40001, type: int16", "40009..40001", "the first is above the last"),
        ("id: 'z{n}', registers: 40001..4, type: int16", "40001..4", "is no range of registers"),
        ("id: zone, registers: 40001..40002, type: int16", "zone", "write {n} into it"),
        ("id: 'Zone{n}', registers: 40001..40002, type: int16", "'Zone{n}'", "makes names like 'Zone1'"),
        ("id: 'z{n}', registers: 40001, address: 0, type: int16", "40001", "leave one of them out"),
        (
            "id: 'z{n}', registers: 40001..40002, table: input, type: int16",
            "40001..40002",
            "table says input",
        ),
        ("id: 'z{n}', registers: '00001..00002', type: int16", "", "coil holds bits"),
        ("id: 'z{n}', registers: 40001..40500, type: int17", "int17", "'int17' is not one of"),
    ],
)
def test_a_range_that_does_not_fit_is_named_once_with_its_place(
    tmp_path: Path, entry: str, shown: str, what: str
) -> None:
    told = refused(line(tmp_path, f"    points:\n      - {{{entry}, record: telemetry}}\n"))
    assert what in told
    column = 10 + entry.index(shown) if shown else 9
    assert told.startswith(f"line.yaml:9:{column}: devices.oven.points.")
    assert len(told.splitlines()) == 1, told


def test_a_name_of_a_range_may_not_be_taken_by_another_point(tmp_path: Path) -> None:
    told = refused(
        line(
            tmp_path,
            "    points:\n"
            "      - {id: 'z{n}', address: 0..9, type: int16, record: change}\n"
            "      - {id: z4, address: 20, type: int16, record: change}\n",
        )
    )
    assert told == (
        "line.yaml:10:14: devices.oven.points.z4.id: 'z4' is used twice "
        "(it is the id of the one in line 9 too)"
    )


def test_stations_may_name_a_point_of_a_range(tmp_path: Path) -> None:
    station = "stations:\n  - {id: s, devices: [oven], unit: {point: oven/NAME}}\n"
    entry = "    points:\n      - {id: 'z{n}', address: 0..9, type: int16, record: change}\n"
    assert load(line(tmp_path, entry + station.replace("NAME", "z10"))).stations
    told = refused(line(tmp_path, entry + station.replace("NAME", "z11")))
    assert "the device 'oven' has no point 'z11'" in told


def test_check_explains_what_a_range_reads(tmp_path: Path) -> None:
    config = load(
        line(tmp_path, "    points: [{id: 'z{n}', address: 0..249, type: int16, record: change}]\n")
    )
    assert summary(config) == "1 device, 250 points, 0 stations"
    assert "250 points in 2 requests" in explain_device(config.devices[0])


def test_a_table_adds_its_rows_to_the_points(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(
        "id,table,address,type,record,unit,scale,high,labels\n"
        'force,input,12,float32,change,"kN, peak",,12.50,\n'
        "\n"
        'state,holding,3,uint16,telemetry,,,,"{0: stopped, 1: running}"\n'
        "t{n},holding,100..101,int16,telemetry,°C,0.1,,\n"
    )
    made = points(
        load(
            line(
                tmp_path,
                "    points:\n      - {id: own, address: 1, type: int16, record: change}\n"
                "    points_from: points.csv\n",
            )
        )
    )
    assert [each.id for each in made] == ["own", "force", "state", "t1", "t2"]
    assert (made[1].unit, made[1].address, str(made[1].high)) == ("kN, peak", 12, "12.50")
    assert made[2].labels == {0: "stopped", 1: "running"}
    assert (made[4].address, str(made[4].scale)) == (101, "0.1")


def test_a_table_of_excel_is_read(tmp_path: Path) -> None:
    table = "id;address;type;record;high;unit\r\nforce;12;int16;change;12,5;\r\n;;;;;\r\n"
    (tmp_path / "points.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    [force] = points(load(line(tmp_path, "    points_from: points.csv\n")))
    assert (force.id, str(force.high), force.unit) == ("force", "12.5", None)


def test_an_opcua_server_may_have_all_its_points_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("id,node,record,deadband\nforce,ns=2;s=Press.Force,telemetry,0.5\n")
    [force] = cast(Any, load(line(tmp_path, "    points_from: points.csv\n", OPCUA)).devices[0]).points
    assert (force.node, str(force.deadband)) == ("ns=2;s=Press.Force", "0.5")


def test_an_opcua_server_without_points_is_refused(tmp_path: Path) -> None:
    assert "devices.oven: give points, or a table of them" in refused(line(tmp_path, "", OPCUA))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            "id,adress,type,record\nforce,1,int16,change\n",
            "points.csv:1:4: there is no setting 'adress' of a point (did you mean 'address'?)",
        ),
        ("id,id,record\na,b,change\n", "points.csv:1:4: the column 'id' is given twice (delete one of them)"),
        ("id,address,type\nforce,1,int16\n", "points.csv:1:1: the column 'record' is missing"),
        ("", "points.csv:1:1: the first line must name the columns"),
        (
            "id,address,type,record\nok,1,int16,change\nforce,one,int16,change\n",
            "points.csv:3:7: devices.oven.points.force.address: 'one' is not a whole number",
        ),
        (
            'id,unit,address,type,record\nforce,"a,""b\n c",12,int61,change\n',
            "points.csv:3:8: devices.oven.points.force.type: 'int61' is not one of",
        ),
        (
            "id,address,type,record\nforce,1,int16,change\nforce,2,int16,change\n",
            "points.csv:3:1: devices.oven.points.force.id: 'force' is used twice (it is the id of",
        ),
        (
            "id,address,type,record\nown,1,int16,change\n",
            "points.csv:2:1: devices.oven.points.own.id: 'own' is used twice (it is the id of",
        ),
        (
            "id,address,type,record\nforce,1,int16,change,more\n",
            "points.csv:2:22: this row has 5 cells, and the header names 4 columns",
        ),
        (
            "id,registers,type,record\nz{n},40001..40003,int32,change\n",
            "points.csv:2:6: devices.oven.points.z{n}.registers: 3 registers are not a whole number",
        ),
        ('id,address,type,record\n"force,1,int16,change\n', "points.csv:2:1: this is not CSV"),
        (
            "id,address,type,record,low,high\nforce,1,int16,change,9,1\n",
            "points.csv:2:22: devices.oven.points.force: low (9) is above high (1)",
        ),
        (
            "id,address,type,record\nforce,,int16,change\n",
            "points.csv:2:1: devices.oven.points.force.address: is missing",
        ),
        (
            "id,address,type,record,description\nforce,1,int16,change,x\n",
            "points.csv:1:24: there is no setting 'description' of a point",
        ),
        (
            "id,address,type,record,unit\nforce,1,int16,change,opc://me:hunter2@host\n",
            "points.csv:2:22: devices.oven.points.force.unit: an address must not carry a password",
        ),
    ],
)
def test_a_mistake_in_a_table_is_named_with_file_line_and_column(
    tmp_path: Path, table: str, expected: str
) -> None:
    (tmp_path / "points.csv").write_text(table, encoding="utf-8")
    own = "    points:\n      - {id: own, address: 1, type: int16, record: change}\n"
    told = refused(line(tmp_path, f"{own}    points_from: points.csv\n"))
    assert expected in told
    assert told.startswith("points.csv:"), told
    assert "hunter2" not in told


def test_a_wrong_column_does_not_hide_wrong_values_of_others(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(
        "id,adress,typ,type,record,low\n"
        "force,1,x,int61,change,\n"
        "Way,2,x,int16,changed,low\n"
        "'z{n}',3,x,int16,change\n"
        "right,4,x,int16,change,\n",
        encoding="utf-8",
    )
    told = refused(line(tmp_path, "    points_from: points.csv\n"))
    assert [each.partition(" (")[0].partition(" is not one of")[0] for each in told.splitlines()] == [
        "points.csv:1:4: there is no setting 'adress' of a point",
        "points.csv:1:11: there is no setting 'typ' of a point",
        "points.csv:2:11: devices.oven.points.force.type: 'int61'",
        "points.csv:3:1: devices.oven.points.Way.id: 'Way' is not written as it must be",
        "points.csv:3:15: devices.oven.points.Way.record: 'changed'",
        "points.csv:3:23: devices.oven.points.Way.low: 'low' is not a number",
        "points.csv:4:1: devices.oven.points.'z{n}'.id: \"'z{n}'\" is not written as it must be",
        "points.csv:4:18: this row has 5 cells, and the header names 6 columns",
    ]


def test_a_missing_column_does_not_hide_wrong_values(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("id,address,type\nforce,one,int61\n")
    told = refused(line(tmp_path, "    points_from: points.csv\n")).splitlines()
    assert [each.partition(" (")[0].partition(" is not")[0] for each in told] == [
        "points.csv:1:1: the column 'record' is missing",
        "points.csv:2:7: devices.oven.points.force.address: 'one'",
        "points.csv:2:11: devices.oven.points.force.type: 'int61'",
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("force,1,int16,change", "points.csv:2:15: this row has 4 cells, and the header names 6 columns"),
        ("force,1,int16", "points.csv:2:9: this row has 3 cells, and the header names 6 columns"),
        ("force,1,int16,change,9", "points.csv:2:22: this row has 5 cells, and the header names 6 columns"),
    ],
)
def test_a_row_that_ends_early_is_an_error(tmp_path: Path, row: str, told: str) -> None:
    (tmp_path / "points.csv").write_text(
        f"id,address,type,record,low,high\n{row}\n\n  \n,,\nway,2,int16,change,,\n"
    )
    lines = refused(line(tmp_path, "    points_from: points.csv\n")).splitlines()
    assert f"{told} (write an empty cell for each setting that is not given)" in lines
    assert not any(each.startswith(("points.csv:3", "points.csv:4", "points.csv:5")) for each in lines)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (
            "      - {id: {n}, address: 1..4, type: int16, record: change}\n",
            (
                "9:14: devices.oven.points[0].id: without quotes, YAML reads {n} as a group of settings: "
                'write id: "{n}", or "zone-{n}"'
            ),
        ),
        (
            "      - {id: {n:03}, address: 1..4, type: int16, record: change}\n",
            (
                "9:14: devices.oven.points[0].id: without quotes, YAML reads {n:03} as a group of settings: "
                'write id: "{n:03}", or "zone-{n:03}"'
            ),
        ),
        (
            "      - {id: {n}, address: 1, type: int16, record: change}\n",
            (
                '9:14: devices.oven.points[0].id: a group of settings is not text (in quotes: "{n}"; without '
                "them, YAML reads braces as a group)"
            ),
        ),
        (
            "      - {id: zone-{n}, address: 1..4, type: int16, record: change}\n",
            (
                "9:19: this is not YAML: expected ',' or '}', but got '{' (a brace "
                "begins a group: put a text with {n} in quotes, such as 'zone-{n}')"
            ),
        ),
        (
            "      - id: {n}-zone\n        address: 1..4\n        type: int16\n        record: change\n",
            (
                "9:16: this is not YAML: expected <block end>, but found '<scalar>' (a brace begins a group: "
                "put a text with {n} in quotes, such as 'zone-{n}')"
            ),
        ),
    ],
)
def test_a_number_of_a_point_without_quotes_is_explained(tmp_path: Path, entry: str, told: str) -> None:
    said = refused(line(tmp_path, f"    points:\n{entry}"))
    assert said == f"line.yaml:{told}"


def test_a_number_of_a_point_in_quotes_is_not_blamed_for_another_mistake(tmp_path: Path) -> None:
    told = refused(line(tmp_path, "    points:\n      - {id: 'z{n}', address: 1..4, type: {\n"))
    assert "in quotes" not in told


def test_a_table_that_is_not_utf8_is_refused_where_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_bytes("id,unit\nok,m\nforce,°C\n".encode("latin-1"))
    told = refused(line(tmp_path, "    points_from: points.csv\n"))
    assert told == "points.csv:3:7: this is not UTF-8 (save the file as CSV UTF-8)"


def test_a_table_that_is_not_there_is_named_where_the_yaml_names_it(tmp_path: Path) -> None:
    told = refused(line(tmp_path, "    points_from: points.csv\n"))
    assert told == (
        "line.yaml:8:18: devices.oven.points_from: points.csv cannot be read: No such file or directory "
        "(the path is seen from the YAML's folder)"
    )


@pytest.mark.heavy
def test_too_many_points_are_refused_with_both_numbers(tmp_path: Path) -> None:
    entry = "{id: 'a{n}', address: 0..65535, type: int16, record: telemetry}"
    told = refused(line(tmp_path, f"    points:\n      - {entry}\n      - {entry.replace('a{n}', 'b{n}')}\n"))
    assert "line.yaml:4:1: devices: this line has 131,072 points, and 100,000 are allowed" in told


def test_a_table_beyond_all_bounds_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linewitness.config.expansion.MAX_TABLE_BYTES", 20)
    (tmp_path / "points.csv").write_text("id,address,type,record\nforce,1,int16,change\n")
    told = refused(line(tmp_path, "    points_from: points.csv\n"))
    assert "points.csv:1:1: the tables of points of this line are larger than" in told


def test_no_more_mistakes_are_told_than_somebody_reads(tmp_path: Path) -> None:
    rows = "".join(f"p{number},{number},int17,change\n" for number in range(500))
    (tmp_path / "points.csv").write_text(f"id,address,type,record\n{rows}")
    told = refused(line(tmp_path, "    points_from: points.csv\n")).splitlines()
    assert len(told) == 101
    assert told[-1].endswith("and 400 more mistakes (correct these first)")


def test_the_digest_covers_the_points_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    table.write_text("id,address,type,record,high\nforce,1,int16,change,10\n")
    file = line(tmp_path, "    points_from: points.csv\n")
    before = load(file)
    assert load(file).digest == before.digest
    table.write_text("id,address,type,record,high\nforce,1,int16,change,11\n")
    after = load(file)
    assert after.digest != before.digest
    assert after.devices[0] != before.devices[0], "a running line takes it for a changed device"
