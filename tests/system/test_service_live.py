"""The units under a real systemd: ready, watched, restarted, stopped in time, and confined."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S, SystemClock
from linewitness.base.errors import ExitCode
from support.lines import YAML
from support.systemd_box import Box, box, why_not

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"no systemd can be started here: {why_not()}"),
]

SECRET = "correct-horse-battery-staple-xx!"
MORE = """\
status: {{listen: '127.0.0.1:0'}}
uplink: {{url: 'mqtt://127.0.0.1:9', username: gw, password: {{credential: mqtt-password}}}}
store: {{vkey: store.acme.example/audit+b4dcf61e+BCMFTsFbsxey08iKGh/jeH91ZmwnP+9Z3DJHvz4wHZnA}}
"""
#: Everything quicker than in a plant, through the drop-in that a site would write.
QUICK = "[Service]\nRestartSec=200ms\nWatchdogSec=3s\nTimeoutAbortSec=5s\n"
#: More than systemd's own limit of starts, which is 5 in 10 s.
MANY = 6


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with box(tmp_path_factory.mktemp("box")) as running:
        yield running


def boottime_s() -> float:
    return SystemClock().stamp().boottime_ns / NS_PER_S


def unit_of(name: Any) -> Any:
    return f"linewitness@{name}.service"


def folder_of(name: Any) -> Any:
    return f"/var/lib/linewitness/{name}"


def yaml_of(name: Any, generation: int = 1) -> Any:
    text = YAML.format(generation=generation, journal="  wrapping_key: {credential: wrapping-key}", more=MORE)
    return (
        text.replace("{{", "{")
        .replace("}}", "}")
        .replace("directory: journal", f"directory: {folder_of(name)}")
    )


def begin(machine: Any, name: Any, *options: Any) -> Any:
    """Run `linewitness init` as `linewitness install` says it."""
    secrets = "CREDENTIALS_DIRECTORY=/etc/linewitness/secrets"
    return machine.run("env", secrets, "linewitness", "init", *options, f"/etc/linewitness/{name}.yaml")


def installed(machine: Any, name: Any) -> Any:
    """Put a line on the machine, as docs/operating.md says it, and start it."""
    machine.write(f"/root/{name}.yaml", yaml_of(name))
    said = machine.must("linewitness", "install", f"/root/{name}.yaml")
    machine.write("/etc/linewitness/secrets/wrapping-key", SECRET, "600")
    machine.write("/etc/linewitness/secrets/mqtt-password", SECRET, "600")
    machine.write(f"/etc/systemd/system/{unit_of(name)}.d/quick.conf", QUICK)
    machine.must("systemctl", "daemon-reload")
    assert (
        f"CREDENTIALS_DIRECTORY=/etc/linewitness/secrets linewitness init /etc/linewitness/{name}.yaml"
        in said
    )
    begun = begin(machine, name)
    assert begun.code == 0, begun.out
    machine.must("systemctl", "enable", "--now", unit_of(name))
    return unit_of(name)


def main_pid(machine: Any, unit: str) -> Any:
    return machine.show(unit, "MainPID")["MainPID"]


def status_of(machine: Any, pid: int) -> Any:
    text = machine.must("cat", f"/proc/{pid}/status")
    return dict(re.findall(r"(?m)^(\w+):\t(.*)$", text))


def verify(machine: Any, folder: Path | str, said: str = "INTACT") -> None:
    found = machine.run("linewitness", "verify", folder)
    assert found.code == 0, found.out
    assert said in found.out


def test_a_line_is_installed_confined_reloaded_stopped_and_taken_away(machine: Box) -> None:
    unit = installed(machine, "line-02")
    machine.until_shown(unit, ActiveState="active", SubState="running")
    machine.wait_until(lambda: "uplink lost" in machine.log(unit), "work", unit)

    def shown() -> str:
        return machine.show(unit, "StatusText")["StatusText"]

    machine.wait_until(lambda: "0 of 1 devices up" in shown(), "the status", unit)

    process = status_of(machine, main_pid(machine, unit))
    assert int(process["Uid"].split()[0]) > 60_000, "nobody's user"
    assert {int(process[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert (process["Seccomp"], process["NoNewPrivs"]) == ("2", "1")
    limits = machine.must("cat", f"/proc/{main_pid(machine, unit)}/limits")
    assert re.search(r"Max core file size +0 +0 ", limits)
    owner = machine.must("stat", "-c", "%u", f"/proc/{main_pid(machine, unit)}/mem").strip()
    assert owner == "0", "not even its own user may read the memory of a process that is not dumpable"
    assert machine.must("readlink", folder_of("line-02")).strip() == "../private/linewitness/line-02"
    assert machine.must("stat", "-Lc", "%a", folder_of("line-02")).strip() == "700"

    before = machine.must("linewitness", "keys", "show", "/etc/linewitness/line-02.yaml")
    machine.must("linewitness", "keys", "rotate", "/etc/linewitness/line-02.yaml")
    assert machine.must("linewitness", "keys", "show", "/etc/linewitness/line-02.yaml") != before

    machine.must("sed", "-i", "s/scanner-1/scanner-2/", "/etc/linewitness/line-02.yaml")
    machine.must("systemctl", "reload", unit)
    machine.wait_until(lambda: "the new YAML was taken over" in machine.log(unit), "the new YAML", unit)

    machine.must("systemctl", "stop", unit)
    assert machine.show(unit, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    verify(machine, folder_of("line-02"))
    log = machine.log(unit)
    assert "gateway stopping" in log
    assert SECRET not in log

    said = machine.must("linewitness", "uninstall", "line-02")
    assert f"stays    {folder_of('line-02')}" in said
    assert machine.run("systemctl", "is-enabled", unit).code != 0
    verify(machine, folder_of("line-02"))


def test_a_gateway_that_hangs_is_killed_and_started_again(machine: Box) -> None:
    unit = installed(machine, "line-03")
    machine.until_shown(unit, SubState="running", NRestarts="0")
    machine.must("kill", "-STOP", main_pid(machine, unit))
    machine.wait_until(lambda: "Watchdog timeout" in machine.log(unit), "the watchdog", unit)
    machine.wait_until(lambda: machine.show(unit, "NRestarts")["NRestarts"] == "1", "a restart", unit)
    machine.until_shown(unit, SubState="running", Result="success")
    machine.wait_until(lambda: machine.log(unit).count("gateway started") == 2, "the start", unit)
    assert "dumped" not in machine.log(unit).replace("core-dump", ""), "no memory with keys is left behind"
    machine.must("systemctl", "stop", unit)
    verify(machine, folder_of("line-03"))


#: A driver of somebody else, which once does harm: holds the interpreter's lock in C code, logs megabytes, or
#: sends codes as fast as it can.
HARMFUL = """
import asyncio, contextlib, pathlib, re
from typing import Literal
import structlog
from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Code, When
from linewitness.devices.options import DeviceOptions
from linewitness.devices.spec import DriverSpec

class HarmfulOptions(DeviceOptions):
    driver: Literal["harmful"]
    trigger: str
    how: str

class Flood:
    identity = {}
    session_id = "flood"
    def __init__(self, device):
        self._device = device
    async def observations(self):
        clock, number = SystemClock(), 0
        while True:
            stamp, number = clock.stamp(), number + 1
            when = When(occurred_ns=stamp.realtime_ns, occurred_from="gateway")
            yield Code(
                device=self._device, session_id="flood", received=stamp, when=when, text=f"CODE{number}"
            )

class Harmful:
    def __init__(self, options):
        self.device, self._options = options.id, options
    @contextlib.asynccontextmanager
    async def connect(self, memory):
        trigger = pathlib.Path(self._options.trigger)
        if trigger.exists():
            trigger.unlink()
            if self._options.how == "flood":
                yield Flood(self.device)
            if self._options.how == "hang":
                re.fullmatch("([A-Z0-9]+-?)+", "A" * 60 + "!")
            for number in range(8100):  # more than the log's socket takes, 16 MiB, with pauses
                structlog.get_logger().warning(f"noise {number % 900}", text="x" * 8000)
                await asyncio.sleep(0 if number % 90 else 0.01)
        raise DeviceUnavailable("nobody is there")
        yield

def build(options, context):
    return Harmful(options)

HARMFUL = DriverSpec(
    name="harmful", title="Harmful", options="harmful:HarmfulOptions", driver="harmful:build"
)
"""


def add_harmful_device(machine: Any, name: Any, how: str) -> None:
    """Let a running line take over a device that does harm at its first connection."""
    site = machine.must(
        "/opt/linewitness/bin/python3", "-c", "import site; print(*site.getsitepackages()[:1])"
    )
    about, trigger = f"{site.strip()}/harmful-1.dist-info", f"{folder_of(name)}/trigger"
    machine.write(f"{site.strip()}/harmful.py", HARMFUL)
    machine.write(f"{about}/METADATA", "Metadata-Version: 2.1\nName: harmful\nVersion: 1\n")
    machine.write(f"{about}/entry_points.txt", "[linewitness.drivers]\nharmful = harmful:HARMFUL\n")
    machine.must("touch", trigger)
    machine.must("chown", "--reference", f"{folder_of(name)}/journal.sqlite", trigger)
    share = "{records_per_s: 10, burst_s: 2}"
    device = f"  - {{id: harmful-1, driver: harmful, trigger: {trigger}, how: {how}, share: {share}}}\n"
    text = machine.must("cat", f"/etc/linewitness/{name}.yaml").replace("devices:\n", f"devices:\n{device}")
    machine.write(f"/etc/linewitness/{name}.yaml", text)
    machine.must("kill", "-HUP", main_pid(machine, unit_of(name)))


def test_a_gateway_whose_interpreter_is_held_is_killed_and_started_again(machine: Box) -> None:
    unit = installed(machine, "line-07")
    machine.until_shown(unit, SubState="running", NRestarts="0")
    add_harmful_device(machine, "line-07", "hang")
    machine.wait_until(lambda: "Watchdog timeout" in machine.log(unit), "the watchdog", unit)
    machine.wait_until(lambda: machine.show(unit, "NRestarts")["NRestarts"] == "1", "a restart", unit)
    machine.until_shown(unit, SubState="running", Result="success")
    machine.wait_until(lambda: machine.log(unit).count("gateway started") == 2, "the start", unit)
    assert "in connect" in machine.log(unit), "the stack says where it hung"
    machine.must("systemctl", "stop", unit)
    verify(machine, folder_of("line-07"))


def test_a_log_service_that_does_not_read_stops_nobody(machine: Box) -> None:
    unit = installed(machine, "line-08")
    machine.until_shown(unit, SubState="running", NRestarts="0")
    machine.wait_until(lambda: "uplink lost" in machine.log(unit), "work", unit)

    def shown() -> str:
        return machine.show(unit, "StatusText")["StatusText"]

    journald = main_pid(machine, "systemd-journald.service")
    machine.must("kill", "-STOP", journald)
    try:
        add_harmful_device(machine, "line-08", "log")
        machine.wait_until(lambda: "messages dropped" in shown(), "the status", unit)
        pid = main_pid(machine, unit)
        before = machine.must("linewitness", "status", folder_of("line-08"))
        machine.must("linewitness", "keys", "rotate", "/etc/linewitness/line-08.yaml")
        assert machine.must("linewitness", "status", folder_of("line-08")) != before, "records are written"
    finally:
        machine.must("kill", "-CONT", journald)
    machine.wait_until(lambda: "log messages dropped" in machine.log(unit), "the number", unit)
    assert main_pid(machine, unit) == pid
    machine.until_shown(unit, SubState="running", NRestarts="0")
    machine.must("systemctl", "stop", unit)
    assert machine.show(unit, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    verify(machine, folder_of("line-08"))


def test_a_device_that_floods_takes_no_more_than_its_share_of_the_service(machine: Box) -> None:
    unit = installed(machine, "line-09")
    machine.until_shown(unit, SubState="running", NRestarts="0")
    pid = main_pid(machine, unit)
    add_harmful_device(machine, "line-09", "flood")
    machine.wait_until(lambda: "sends more than its share" in machine.log(unit), "the log", unit)

    def records() -> int:
        said = json.loads(machine.must("linewitness", "status", "--json", folder_of("line-09")))
        return int(said["size"])

    before, begun = records(), boottime_s()
    machine.wait_until(lambda: boottime_s() - begun > 15, "a flood of some seconds", unit)
    machine.must("linewitness", "keys", "rotate", "/etc/linewitness/line-09.yaml")
    passed_s = boottime_s() - begun
    assert 0 < records() - before < 20 * (passed_s + 10), "its share, what others write, and no more"
    assert main_pid(machine, unit) == pid
    machine.until_shown(unit, SubState="running", NRestarts="0")
    machine.must("systemctl", "stop", unit)
    assert machine.show(unit, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
    verify(machine, folder_of("line-09"))


def test_a_wrong_yaml_is_not_started_again_and_all_else_is_until_it_is_mended(machine: Box) -> None:
    unit = installed(machine, "line-04")
    machine.must("systemctl", "stop", unit)

    machine.must("sed", "-i", "s/port:/prot:/", "/etc/linewitness/line-04.yaml")
    assert machine.run("systemctl", "start", unit).code != 0
    found = machine.show(unit, "ActiveState", "ExecMainStatus", "NRestarts")
    assert found == {
        "ActiveState": "failed",
        "ExecMainStatus": str(int(ExitCode.CONFIGURATION)),
        "NRestarts": "0",
    }
    assert "devices.scanner-1.prot" in machine.log(unit)
    machine.must("sed", "-i", "s/prot:/port:/", "/etc/linewitness/line-04.yaml")
    machine.must("systemctl", "reset-failed", unit)

    key = f"{folder_of('line-04')}/keys/log.key"
    machine.must("mv", key, "/root/log.key")
    machine.run("systemctl", "start", "--no-block", unit)
    machine.wait_until(lambda: int(machine.show(unit, "NRestarts")["NRestarts"]) > MANY, "restarts", unit)
    assert "Start request repeated too quickly" not in machine.log(unit)
    assert f"code=exited, status={int(ExitCode.JOURNAL)}/" in machine.log(unit)
    assert "the key" in machine.log(unit)

    machine.must("mv", "/root/log.key", key)
    machine.until_shown(unit, SubState="running")
    machine.must("systemctl", "stop", unit)


def test_a_new_generation_begins_where_only_the_state_folder_can_be_written(machine: Box) -> None:
    unit = installed(machine, "line-05")
    machine.must("systemctl", "stop", unit)
    machine.write("/etc/linewitness/line-05.yaml", yaml_of("line-05", generation=2))
    begun = begin(machine, "line-05", "--continue", "--reason", "the disk was restored")
    assert begun.code == 0, begun.out
    machine.must("systemctl", "start", unit)
    machine.until_shown(unit, SubState="running")
    owners = machine.must("find", f"{folder_of('line-05')}/", "-printf", "%U\n").split()
    assert len(set(owners)) == 1, "everything is the service's"
    machine.must("systemctl", "stop", unit)
    verify(machine, folder_of("line-05"), "line-02/2: INTACT")
    verify(machine, f"{folder_of('line-05')}/ended-1", "line-02/1: INTACT")


def test_a_key_that_root_rotates_stays_the_services(machine: Box) -> None:
    unit = installed(machine, "line-06")
    machine.must("systemctl", "stop", unit)
    secrets = "CREDENTIALS_DIRECTORY=/etc/linewitness/secrets"
    machine.must("env", secrets, "linewitness", "keys", "rotate", "/etc/linewitness/line-06.yaml")
    machine.must("systemctl", "start", unit)
    machine.until_shown(unit, SubState="running")
    machine.must("systemctl", "stop", unit)
    verify(machine, folder_of("line-06"))


def test_the_store_runs_as_a_service(machine: Box) -> None:
    unit = "linewitness-store.service"
    machine.write(
        "/root/store.yaml",
        "database: sqlite:////var/lib/linewitness-store/store.db\nname: store.acme.example\n"
        "key: {file: /var/lib/linewitness-store/store.key}\nmqtt: {url: 'mqtt://127.0.0.1:9'}\n",
    )
    said = machine.must("linewitness", "install", "--store", "/root/store.yaml")
    assert "store init" in said
    machine.must("linewitness", "store", "init", "/etc/linewitness-store/store.yaml")
    machine.must("systemctl", "enable", "--now", unit)
    machine.until_shown(unit, SubState="running", NRestarts="0")
    machine.wait_until(lambda: "broker connection lost" in machine.log(unit), "the broker's loss", unit)
    assert "broker away" in machine.show(unit, "StatusText")["StatusText"]
    assert int(status_of(machine, main_pid(machine, unit))["CapEff"], 16) == 0
    machine.must("systemctl", "stop", unit)
    assert machine.show(unit, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}
