"""`linewitness import`: exports as Kepware and Ignition write them become tables that a line loads."""

import json
from pathlib import Path
from typing import Any, cast

from linewitness.base.errors import ConfigurationError
from linewitness.config import load
from support.lines import call

KEPWARE_HEADER = (
    "Tag Name,Address,Data Type,Respect Data Type,Client Access,Scan Rate,Scaling,Raw Low,Raw High,"
    "Scaled Low,Scaled High,Scaled Data Type,Clamp Low,Clamp High,Eng Units,Description,Negate Value\n"
)
KEPWARE = KEPWARE_HEADER + (
    '"Oven.Zone 1","400001",Word,1,R/W,100,,,,,,,,,,"",\n'
    '"Oven.Zone_2","400002",Short,1,RO,100,Linear,0,1000,0,100,Double,0,0,"°C","zone",0\n'
    '"Energy","300011",Float,1,RO,100,,,,,,,,,"kWh","",\n'
    '"Door","400010.3",Boolean,1,RO,100,,,,,,,,,,"",\n'
    '"Run","000017",Boolean,1,RO,100,,,,,,,,,,"",\n'
    '"Batch","400020.16H",String,1,RO,100,,,,,,,,,,"",\n'
    '"Count","40101",DWord,1,RO,100,,,,,,,,,,"",\n'
    '"oven.zone 1","400050",Word,1,RO,100,,,,,,,,,,"",\n'
    '"Recipe","400100 [10]",Word,1,RO,100,,,,,,,,,,"",\n'
    '"Flow","400060",Word,1,RO,100,Square Root,0,100,0,10,Double,0,0,"","",0\n'
    '"Third","400061",Word,1,RO,100,Linear,0,3,0,1,Double,0,0,"","",0\n'
    '"When","400062",Date,1,RO,100,,,,,,,,,,"",\n'
)
IGNITION = {
    "name": "",
    "tagType": "Provider",
    "tags": [
        {
            "name": "Press 1",
            "tagType": "Folder",
            "tags": [
                {
                    "name": "Force",
                    "tagType": "AtomicTag",
                    "valueSource": "opc",
                    "opcServer": "PLC",
                    "opcItemPath": "ns=2;s=Press.Force",
                    "dataType": "Float4",
                    "engUnit": "kN",
                },
                {
                    "name": "Speed",
                    "valueSource": "opc",
                    "opcItemPath": "ns=1;s=[Press]HR12",
                    "tagType": "AtomicTag",
                },
                {"name": "Limit", "valueSource": "memory", "tagType": "AtomicTag", "value": 3},
            ],
        }
    ],
}
LINE = """\
version: 1
line: {tenant: acme, plant: ber-01, line: line-02, gateway: gw-02, origin: acme.example/ber-01/line-02/1}
journal: {directory: state}
devices:
"""


def loaded(folder: Path, device: str) -> dict[str, Any]:
    file = folder / "line.yaml"
    file.write_text(LINE + f"  - {{id: plc, {device}, points_from: points.csv}}\n")
    return {point.id: point for point in cast(Any, load(file).devices[0]).points}


def test_tags_of_kepware_become_points_of_a_modbus_device(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_bytes(KEPWARE.encode("cp1252"))
    done = call("import", tmp_path / "tags.csv", "--output", tmp_path / "points.csv")
    made = loaded(tmp_path, "driver: modbus, host: 10.0.0.7")
    assert list(made) == [
        *("oven.zone-1", "oven.zone_2", "energy", "door", "run", "batch", "count", "oven.zone-1-2"),
    ]
    zone = made["oven.zone_2"]
    assert (zone.table, zone.address, zone.type, str(zone.scale), zone.unit) == (
        *("holding", 1, "int16", "0.1", "°C"),
    )
    assert (made["energy"].table, made["energy"].address, made["energy"].type) == ("input", 10, "float32")
    assert (made["door"].address, made["door"].bit) == (9, 3)
    assert (made["run"].table, made["run"].address, made["run"].kind) == ("coil", 16, "bool")
    assert (made["batch"].type, made["batch"].length) == ("string", 16)
    assert (made["count"].address, made["count"].type) == (100, "uint32")
    assert {point.record for point in made.values()} == {"telemetry"}
    assert done.exit_code == 2, "not all tags are points now"


def test_what_does_not_map_is_listed_with_its_line_and_reason(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text(KEPWARE)
    told = call("import", tmp_path / "tags.csv").stderr.replace(f"{tmp_path}/", "").splitlines()
    assert told == [
        "tags.csv: line 9: 'oven.zone 1' becomes 'oven.zone-1-2': 'oven.zone-1' is taken already",
        "tags.csv: line 10: 'Recipe' at '400100 [10]': neither a Modbus register nor an OPC UA node",
        "tags.csv: line 11: 'Flow' at '400060': the scaling 'Square Root' has no counterpart",
        "tags.csv: line 12: 'Third' at '400061': its scaling is no decimal: give scale and offset by hand",
        "tags.csv: line 13: 'When' at '400062': the type 'Date' has no counterpart",
        "tags.csv: 8 tags became points, 4 did not",
    ]


def test_tags_of_ignition_become_points_of_an_opcua_server(tmp_path: Path) -> None:
    (tmp_path / "tags.json").write_text(json.dumps(IGNITION))
    done = call("import", tmp_path / "tags.json", "--output", tmp_path / "points.csv", "--record", "change")
    made = loaded(tmp_path, "driver: opcua, endpoint: 'opc.tcp://plc'")
    [force] = made.values()
    assert (force.id, force.node, force.unit) == ("press-1-force", "ns=2;s=Press.Force", "kN")
    assert force.record == "change"
    assert "'Press 1/Speed': ns=1;s=[Press]HR12 is an address of a driver of Ignition" in done.stderr
    assert "'Press 1/Limit': it is no OPC tag (memory)" in done.stderr


def test_a_csv_of_ignition_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text(
        "Path,Name,Owner,TagType,DataType,OPCServer,OPCItemPath,EngUnit\n"
        '"","Press","",6,,,,\n'
        '"Press/","Force","",0,4,"PLC","ns=2;s=Press.Force","kN"\n'
    )
    done = call("import", tmp_path / "tags.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == "id,node,record,unit\npress-force,ns=2;s=Press.Force,telemetry,kN\n"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text("a,b\n1,2\n")
    done = call("import", tmp_path / "tags.csv")
    assert isinstance(done.exception, ConfigurationError)
    assert "no export of tags that is known" in str(done.exception)


def test_a_table_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "tags.json").write_text(json.dumps(IGNITION))
    (tmp_path / "points.csv").write_text("mine")
    done = call("import", tmp_path / "tags.json", "--output", tmp_path / "points.csv")
    assert isinstance(done.exception, ConfigurationError)
    assert (tmp_path / "points.csv").read_text() == "mine"


def test_tags_of_two_kinds_and_clamped_values_are_noted(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text(
        "Tag Name,Address,Data Type,Scaling,Raw Low,Raw High,Scaled Low,Scaled High,Clamp Low,Clamp High\n"
        '"Flow","400001","Short","Linear","0","1000","0","100","1","0"\n'
        '"Force","ns=2;s=Press.Force","Double","","","","","","",""\n'
    )
    done = call("import", tmp_path / "tags.csv", "-o", tmp_path / "points.csv")
    assert done.exit_code == 0, done.output
    assert "line 2: 'Flow' is clamped there; the point has the values as they are read" in done.stderr
    assert "it has Modbus registers and OPC UA nodes: give each device a table of its own" in done.stderr


def test_no_table_is_written_where_no_tag_maps(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text('Tag Name,Address,Data Type\n"When","400062","Date"\n')
    done = call("import", tmp_path / "tags.csv", "-o", tmp_path / "points.csv")
    assert isinstance(done.exception, ConfigurationError)
    assert "the type 'Date' has no counterpart" in done.stderr
    assert not (tmp_path / "points.csv").exists()
