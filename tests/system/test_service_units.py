"""The systemd units: hardened, supervised, and no way for a secret to leave in a core dump."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.present import present

UNITS = Path(__file__).parents[2] / "systemd"
NAMES = ("linewitness@.service", "linewitness-store.service")
#: Tenths: `--threshold=15` fails above an exposure of 1.5.
EXPOSURE = 15

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed: units are not judged"
)


def judge(unit: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        if not line.startswith("#") and "=" in line:
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_exposure_is_low(name: str) -> None:
    judged = judge(UNITS / name)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert float(present(re.search(r"exposure level for .*: ([0-9.]+)", judged.stdout))[1]) <= EXPOSURE / 10


def test_a_looser_unit_would_be_found(tmp_path: Path) -> None:
    text = (UNITS / NAMES[0]).read_text()
    loose = tmp_path / NAMES[0]
    loose.write_text(re.sub(r"(?m)^(SystemCallFilter|CapabilityBoundingSet|DynamicUser)=.*\n", "", text))
    assert judge(loose).returncode != 0


@pytest.mark.parametrize("name", NAMES)
def test_unit_is_written_without_mistakes(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name.replace("@", "@line-02")
    text = (UNITS / name).read_text()
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert str(unit.name) not in verified.stderr, verified.stderr


@pytest.mark.parametrize("name", NAMES)
def test_unit_is_supervised_and_keeps_its_secrets(name: str) -> None:
    unit = settings(name)
    assert unit["Type"] == ["notify"]
    assert unit["WatchdogSec"] == ["90s"]
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == ["2"]
    assert unit["StartLimitIntervalSec"] == ["0"], "no limit of starts that a plant would have to know about"
    assert "StartLimitBurst" not in unit
    assert unit["RestartSec"] == ["5s"]
    assert unit["LimitCORE"] == ["0"]
    assert unit["UMask"] == ["0077"]
    assert unit["CapabilityBoundingSet"] == [""]


@pytest.mark.parametrize("name", NAMES)
def test_kernel_boot_id_stays_readable(name: str) -> None:
    # Each record carries the boot id; with ProcSubset=pid the program would not even start.
    assert settings(name)["ProcSubset"] == ["all"]


def test_both_units_confine_alike() -> None:
    line, store = (settings(name) for name in NAMES)
    own = {"Description", "ExecStart", "ExecReload", "StateDirectory"}
    assert {key: line[key] for key in line.keys() - own} == {key: store[key] for key in store.keys() - own}
