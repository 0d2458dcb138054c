"""Hosts that no machine has, ports inside hosts, and home folders in paths: errors with what to write."""

from pathlib import Path

import pytest

from linewitness.base.settings import check_host
from linewitness.store.options import AuditStoreOptions
from support.lines import call

HEAD = """\
version: 1
line: {tenant: acme, plant: p, line: l, gateway: g, origin: acme.example/p/l/1}
journal: {directory: journal}
devices:
"""
MODBUS = "  - id: oven\n    driver: modbus\n    host: HOST\n    points: []\n"
VKEY = "store.acme.example/audit+b4dcf61e+BCMFTsFbsxey08iKGh/jeH91ZmwnP+9Z3DJHvz4wHZnA"
GOOD = HEAD + MODBUS.replace("HOST", "oven")


def errors(folder: Path, text: str) -> list[str]:
    """Return what `check` says of a file that is wrong, its lines without the file's name."""
    file = folder / "line.yaml"
    file.write_text(text, encoding="utf-8")
    checked = call("check", file)
    assert checked.exit_code == 2, checked.output
    return [line.removeprefix(f"{file}:") for line in checked.output.splitlines()]


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("10.0.0.5:502", "'10.0.0.5:502' has a port in it: write host: 10.0.0.5 and port: 502"),
        ("oven:502", "'oven:502' has a port in it: write host: oven and port: 502"),
        ("'oven:'", "'oven:' has a port in it: write host: oven"),
        ("'[fe80::1]:502'", "'[fe80::1]:502' has a port in it: write host: fe80::1 and port: 502"),
        ("'[fe80::1]'", "'[fe80::1]' is in brackets: write host: fe80::1"),
        ("10.0.0.300", "'10.0.0.300' is no address: an IPv4 address has four numbers from 0 to 255"),
        ("'10.0.0'", "'10.0.0' is no address: an IPv4 address has four numbers from 0 to 255"),
        ("10.0.0.5.6", "'10.0.0.5.6' is no address: an IPv4 address has four numbers from 0 to 255"),
        ("010.0.0.5", "'010.0.0.5' is no address: an IPv4 address has four numbers from 0 to 255"),
        ("fe80:::1", "'fe80:::1' is no address: it looks like fe80::1"),
        ("http://oven", "'http://oven' is not a host alone: write only the address or name, such as"),
        ("oven/1", "'oven/1' is not a host alone"),
        ("oven 1", "'oven 1' is no host: an address such as 10.0.0.5, or a name of letters, digits, '-'"),
        ("'10.0.0.7 '", "'10.0.0.7 ' is no host"),
        ("''", "'' is no host"),
        ("oven..plant", "'oven..plant' is no host"),
        ("-oven", "'-oven' is no host"),
        ("0.0.0.0", "0.0.0.0 is no machine's address: write 127.0.0.1 for this machine"),
        ("224.0.0.1", "224.0.0.1 is the address of many machines"),
        ("255.255.255.255", "255.255.255.255 is the address of many machines"),
    ],
)
def test_a_host_that_no_machine_has_is_an_error(tmp_path: Path, host: str, told: str) -> None:
    [line] = errors(tmp_path, HEAD + MODBUS.replace("HOST", host))
    assert line.startswith(f"7:11: devices.oven.host: {told}")


@pytest.mark.parametrize(
    "host",
    [
        *("10.0.0.5", "oven", "oven_1.plant-2.example", "oven.example.", "OVEN", "1oven", "öfen.example"),
        *("::1", "fe80::1%eth0", "2001:db8::5", "localhost", "10-0-0-5"),
    ],
)
def test_what_may_be_a_host_is_taken_as_it_is(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ("driver: open_protocol, host: '10.0.0.5:4545'", "host"),
        ("driver: mt_sics, port: 4305, host: '10.0.0.5:4305'", "host"),
        ("driver: scanner, port: 9004, host: '10.0.0.5:9004'", "host"),
        ("driver: scanner, port: 9004, host: 10.0.0.5, mode: listen, bind: 10.0.0.300", "bind"),
        (
            "driver: opcua, points: [{id: a, node: i=1, record: change}], endpoint: opc.tcp://10.0.0.300",
            "end",
        ),
        ("driver: opcua, points: [{id: a, node: i=1, record: change}], endpoint: opc.tcp://plc:99999", "end"),
    ],
)
def test_every_driver_refuses_an_impossible_host(tmp_path: Path, settings: str, path: str) -> None:
    [line] = errors(tmp_path, HEAD + f"  - {{id: d, {settings}}}\n")
    assert f": devices.d.{path}" in line
    assert any(words in line for words in ("has a port in it", "is no address", "between 1 and 65535"))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (f"store: {{vkey: {VKEY}}}\nuplink: {{url: mqtt://10.0.0.300}}\n", "uplink.url: '10.0.0.300' is no"),
        (
            "anchors: {witnesses: [{id: w, url: 'https://wit ness/', vkey: " + VKEY + "}]}\n",
            "anchors.witnesses.w.url: 'wit ness' is no host",
        ),
        (
            "anchors: {time_stamps: [{id: t, url: 'https://t:0/', roots: r.pem}]}\n",
            "anchors.time_stamps.t.url: the port is between 1 and 65535",
        ),
        ("clock: {ntp: [10.0.0.300]}\n", "clock.ntp: '10.0.0.300' is no address"),
    ],
)
def test_hosts_in_addresses_are_looked_at_too(tmp_path: Path, more: str, told: str) -> None:
    [line] = errors(tmp_path, GOOD + more)
    assert told in line


def test_a_scanner_may_be_waited_for_on_all_addresses(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    device = "driver: scanner, host: 10.0.0.5, port: 9004, mode: listen, bind: 0.0.0.0"
    file.write_text(HEAD + f"  - {{id: d, {device}}}\n")
    assert call("check", file).exit_code == 0


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (GOOD.replace("directory: journal", "directory: ~/journal"), "journal.directory"),
        (GOOD.replace("directory: journal", "directory: ~me/journal"), "journal.directory"),
        (
            f"{GOOD}store: {{vkey: {VKEY}}}\nuplink: {{url: mqtts://b, tls: {{ca: ~/ca.pem}}}}\n",
            "uplink.tls.ca",
        ),
        (
            (
                f"{GOOD}store: {{vkey: {VKEY}}}\n"
                "uplink: {url: mqtts://b, username: me, password: {file: ~/pw}}\n"
            ),
            "uplink.password.file",
        ),
        (GOOD.replace("points: []", "points_from: ~/points.csv"), "devices.oven.points_from"),
    ],
)
def test_a_home_folder_in_a_path_is_an_error(tmp_path: Path, text: str, path: str) -> None:
    lines = errors(tmp_path, text)
    [line] = [line for line in lines if "'~' is not replaced by a home folder here: write the whole" in line]
    assert f": {path}: '~" in line
    assert len(lines) == 1, lines


def test_a_name_that_only_holds_a_tilde_is_a_path(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(GOOD.replace("directory: journal", "directory: old/~/journal~1"))
    assert call("check", file).exit_code == 0


def test_the_database_of_a_store_is_not_in_a_home_folder() -> None:
    settings = {"name": "s.example", "key": {"file": "k"}, "mqtt": {"url": "mqtt://b"}}
    with pytest.raises(ValueError, match="'~' is not replaced by a home folder"):
        AuditStoreOptions.model_validate({**settings, "database": "sqlite:///~/store.db"})
