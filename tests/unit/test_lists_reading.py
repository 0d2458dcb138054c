"""What owners of lists write, and what they are told where it is wrong."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import from_rfc3339
from linewitness.config import ConfigurationErrors
from linewitness.config.lists import table
from linewitness.config.lists.reading import examine_listing, read_listing
from linewitness.config.lists.signing import signed_list
from linewitness.evidence.format.note import Note, sign
from linewitness.evidence.policy.customer import Customer
from linewitness.stations.lists.book import ListName, Lot
from linewitness.stations.lists.listing import MAX_LIST_BYTES, Listing, differences
from linewitness.stations.lists.options import ListOptions

NOW_NS = from_rfc3339("2026-11-23T12:00:00.000Z")
OWNER = Customer.new("acme.example/erp")
FILE = Path("list.csv")


def options(**settings: Any) -> ListOptions:
    return ListOptions(file=FILE, **settings)


def read(name: ListName, text: str | bytes, **settings: Any) -> Listing:
    data = text if isinstance(text, bytes) else text.encode()
    return read_listing(name, options(**settings), data, NOW_NS)


def told(name: ListName, text: str | bytes, **settings: Any) -> str:
    with pytest.raises(ConfigurationErrors) as caught:
        read(name, text, **settings)
    return str(caught.value)


def signed(text: str, *, by: Customer = OWNER) -> bytes:
    return signed_list(FILE, text.encode(), by, issued="2026-11-23T06:00:00Z")


def test_lots_say_all_that_a_station_asks_for() -> None:
    listing = read(
        "lots",
        "# issued: 2026-11-23T06:00:00+01:00\n# from SAP\n"
        "part;lot;status;reason;expiry;supplier\n"
        'A-100;L1;released;;2027-03-31;"Schmidt; Sons"\n'
        "A-100;L2;blocked;crack in the flange;;\n",
    )
    assert listing.issued_ns == from_rfc3339("2026-11-23T05:00:00.000Z")
    assert listing.entries == {
        ("A-100", "L1"): Lot("A-100", "L1", expiry=date(2027, 3, 31), supplier="Schmidt; Sons"),
        ("A-100", "L2"): Lot("A-100", "L2", blocked=True, reason="crack in the flange"),
    }
    assert listing.digest.startswith("sha256:")
    assert listing.signer == ""


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_the_order_of_columns_are_free(separator: str) -> None:
    rows = [["due", "tool"], ["2026-12-31", "wrench-10"], ["", ""]]
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n"
    assert read("calibrations", text).entries == {"wrench-10": date(2026, 12, 31)}


def test_a_byte_order_mark_of_a_spreadsheet_is_no_part_of_the_first_column() -> None:
    data = "person,station,until\n4711,st-10,2026-12-31\n4711,*,2026-11-30\n".encode("utf-8-sig")
    listing = read("qualifications", data)
    assert listing.entries == {("4711", "st-10"): date(2026, 12, 31), ("4711", "*"): date(2026, 11, 30)}


@pytest.mark.parametrize(
    "text",
    [
        "product,stations\ncarrier,kit > bolt > test\ncover,kit test\n",
        "product,stations\ncarrier,kit>bolt>test\ncover,kit  test\n",
        "product,station\ncarrier,kit\ncover,kit\ncarrier,bolt\ncover,test\ncarrier,test\n",
    ],
)
def test_a_route_has_a_row_or_a_row_for_each_step(text: str) -> None:
    assert read("routes", text).entries == {"carrier": ("kit", "bolt", "test"), "cover": ("kit", "test")}


WRONG: list[tuple[ListName, str, str]] = [
    ("lots", "", "list.csv:1:1: the last line has no line end"),
    ("lots", "\n", "list.csv:1:1: the first line must name the columns (columns: part, lot, status"),
    ("lots", "part,lot,status\nA,L1,released", "list.csv:2:1: the last line has no line end (it may be"),
    ("lots", "part,lot\nA,L1\n", "list.csv:1:1: the column 'status' is missing (released or blocked)"),
    (
        "lots",
        "part,lot,statsu\n",
        "list.csv:1:10: a list of lots has no column 'statsu' (did you mean 'status'?)",
    ),
    ("lots", "part,lot,lot,status\n", "list.csv:1:10: the column 'lot' is given twice (delete one of them)"),
    ("lots", "part,,lot,status\n", "list.csv:1:6: a column has no name"),
    (
        "lots",
        "# issued: 2026-11-23T06:00:00Z\npart,lot,status\nA,L1,freed\n",
        "list.csv:3:6: 'freed' is not one of released, blocked",
    ),
    ("lots", "part,lot,status\nA,L1,block\n", "(did you mean 'blocked'?)"),
    ("lots", "part,lot,status\nA,,released\n", "list.csv:2:3: lot is missing (number of the lot)"),
    (
        "lots",
        "part,lot,status\nA,L1\n",
        "this row has 2 cells, and the header names 3 columns (write an empty",
    ),
    ("lots", "part,lot,status\nA,L1,released,x\n", "list.csv:2:15: this row has 4 cells"),
    (
        "lots",
        "part,lot,status\nA,L1,released\nB,L1,released\nA,L1,blocked\n",
        "list.csv:4:3: 'A' 'L1' is listed twice (it stands in line 2 too: keep one of them)",
    ),
    ("lots", "part,lot,status,expiry\nA,L1,released,31.12.2026\n", "'31.12.2026' is not a day (write it as"),
    ("lots", "part,lot,status,expiry\nA,L1,released,2026-02-30\n", "'2026-02-30' is a day that no calendar"),
    ("lots", 'part,lot,status\nA,"L1,released\n', "this is not CSV"),
    ("lots", f"part,lot,status\nA,{'x' * 201},released\n", "list.csv:2:3: 'xxxx"),
    ("lots", "part,lot,status\nA,L\x1b[1m,released\n", "holds characters that cannot be printed"),
    ("calibrations", "tool,due\nwrench-10,\n", "list.csv:2:11: due is missing"),
    ("calibrations", "tool,due\nw,2027-01-01\nw,2027-01-01\n", "'w' is listed twice"),
    ("qualifications", "person,station,until\n1,a,2027-01-01\n1,a,2027-01-02\n", "'1' 'a' is listed twice"),
    ("routes", "product\nx\n", "one of the columns 'stations' and 'station'"),
    ("routes", "product,stations,station\nx,a,a\n", "one of the columns 'stations' and 'station'"),
    ("routes", "product,stations\nx,a > b > a\n", "the station 'a' stands twice in the route of 'x'"),
    ("routes", "product,station\nx,a\nx,a\n", "list.csv:3:3: the station 'a' stands twice"),
    ("routes", "product,stations\nx,a\nx,b\n", "'x' is listed twice"),
    ("routes", "product,stations\nx,>\n", "the route of 'x' names no station"),
    (
        "lots",
        "# issued: yesterday\npart,lot,status\n",
        "list.csv:1:11: 'yesterday' is not a time (write it as",
    ),
    ("lots", "# issued: 2026-11-23T06:00:00\npart,lot,status\n", "is not a time"),
    ("lots", "# issued: 2026-13-23T06:00:00Z\npart,lot,status\n", "is not a time"),
    ("lots", "# issued: 2026-11-24T06:00:00Z\npart,lot,status\n", "issued in the future"),
]


@pytest.mark.parametrize(("name", "text", "words"), WRONG)
def test_a_wrong_list_is_answered_with_its_place_and_what_to_do(
    name: ListName, text: str, words: str
) -> None:
    assert words in told(name, text)


def test_all_mistakes_are_told_at_once_up_to_a_hundred() -> None:
    rows = "".join(f"tool-{number},soon\n" for number in range(500))
    lines = told("calibrations", f"tool,due\n{rows}").splitlines()
    assert "list.csv:2:8: 'soon' is not a day" in lines[0]
    assert len(lines) <= 101


def test_a_list_is_bounded_in_bytes_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a list has at most 8 MiB" in told("lots", b"x" * (MAX_LIST_BYTES + 1))
    monkeypatch.setattr(table, "MAX_ROWS", 2)
    text = "tool,due\n" + "".join(f"tool-{number},2027-01-01\n" for number in range(3))
    assert "list.csv:4:1: a list has at most 2 rows" in told("calibrations", text)


def test_what_is_not_text_is_answered_with_its_place() -> None:
    assert "list.csv:2:2: this is not UTF-8" in told("lots", b"part,lot,status\nA\xff,L1,released\n")


LOTS = "part,lot,status\nA-100,L1,released\n"


def test_a_signed_list_names_its_signer_and_when_it_was_issued() -> None:
    listing = read("lots", signed(LOTS), signed_by=str(OWNER.vkey))
    assert listing.signer == "acme.example/erp"
    assert listing.issued_ns == from_rfc3339("2026-11-23T06:00:00.000Z")
    assert ("A-100", "L1") in listing.entries


def test_a_list_that_must_be_signed_and_is_not_right_is_refused() -> None:
    vkey, note = str(OWNER.vkey), signed(LOTS)
    stranger = Customer.new("acme.example/stranger")
    namesake = Customer.new(OWNER.name)
    assert "a note lacks its signature block" in told("lots", LOTS, signed_by=vkey)
    assert "the signature of acme.example/erp" in told(
        "lots", note.replace(b"released", b"blocked "), signed_by=vkey
    )
    assert "is not signed by acme.example/erp" in told("lots", signed(LOTS, by=stranger), signed_by=vkey)
    assert "is not signed by acme.example/erp" in told("lots", signed(LOTS, by=namesake), signed_by=vkey)
    assert "a note lacks its signature block" in told("lots", note[:-3], signed_by=vkey)
    assert "the YAML does not say by whom" in told("lots", note)


def test_a_signed_list_must_say_when_it_was_issued() -> None:
    """Otherwise whoever brings it could put an old one in its place."""
    note = str(Note(LOTS, (sign(LOTS, name=OWNER.name, key=OWNER.key),)))
    assert "must say when it was issued" in told("lots", note, signed_by=str(OWNER.vkey))


def test_a_signed_list_has_the_size_that_every_tool_reads() -> None:
    text = "# issued: 2026-11-23T06:00:00Z\n" + "x" * 1_000_001
    assert "a signed list has at most 1,000,000 characters" in told("lots", text, signed_by=str(OWNER.vkey))


def test_stations_are_found_where_the_list_first_names_them() -> None:
    data = b"person,station,until\n1,*,2027-01-01\n1,st-1O,2027-01-01\n2,st-1O,2027-01-01\n"
    reading = examine_listing("qualifications", options(), data, NOW_NS)
    assert {name: str(place) for name, place in reading.stations.items()} == {"st-1O": "3:3"}


def test_differences_are_named_entry_by_entry_and_blocked_lots_come_first() -> None:
    before = read("lots", "part,lot,status,expiry\nA,L1,released,\nA,L2,released,2027-01-01\nA,L4,blocked,\n")
    after = read("lots", "part,lot,status,reason\nA,L0,released,\nA,L1,released,\nA,L2,blocked,crack\n")
    found = [
        (each.field, each.before, each.after) for each in differences("lots", before.entries, after.entries)
    ]
    assert found == [
        ("lists.lots/A/L2", "released; expiry 2027-01-01", "blocked: crack"),
        ("lists.lots/A/L0", None, "released"),
        ("lists.lots/A/L4", "blocked", None),
    ]
