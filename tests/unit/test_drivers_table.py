"""Drivers are found by their constant, in the table and through entry points, and load nothing too early."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.base.clock import SystemClock
from linewitness.config import ConfigurationErrors, load
from linewitness.devices.context import DriverContext
from linewitness.devices.options import DeviceOptions
from linewitness.devices.spec import DriverSpec, DriverUnusable
from linewitness.devices.table import BUNDLED, find, known, names, title_of, usable

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
OVEN = ROOT / "config" / "oven-line.yaml"

SPEC = """
from linewitness.devices.spec import DriverSpec

SPEC = DriverSpec(name={name!r}, title="A thermometer", options={options!r}, driver="thermo_parts:build")
"""
PARTS = """
from typing import Literal
from linewitness.devices.options import DeviceOptions


class ThermoOptions(DeviceOptions):
    driver: Literal["thermo"] = "thermo"


def build(options, context):
    raise NotImplementedError
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return a function that puts a distribution with modules and entry points on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(distribution: str, entries: dict[str, str], **modules: str) -> None:
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("[linewitness.drivers]\n" + "\n".join(lines) + "\n")
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)

    yield put
    for name in ("thermo_spec", "thermo_parts", "thermo_broken", "thermo_other"):
        sys.modules.pop(name, None)


def line_with(tmp_path: Path, driver: str) -> Path:
    """Write a line whose only device has this driver."""
    text = OVEN.read_text(encoding="utf-8").partition("\ndevices:")[0].partition("\nstations:")[0]
    file = tmp_path / "line.yaml"
    file.write_text(f"{text}\ndevices:\n  - id: t-1\n    driver: {driver}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("spec", BUNDLED, ids=lambda spec: spec.name)
def test_each_reference_of_a_bundled_driver_leads_somewhere(spec: DriverSpec) -> None:
    options = spec.options_class()
    assert issubclass(options, DeviceOptions)
    assert cast(Any, options.model_fields["driver"].annotation).__args__ == (spec.name,)
    references = [spec.driver, spec.explain, spec.browse]
    if spec.probe:
        references += [spec.probe.output, spec.probe.options]
    assert all(callable(spec.load(reference)) for reference in references if reference)


def test_names_and_schemes_of_the_bundled_drivers_are_unique() -> None:
    schemes = [spec.probe.scheme for spec in BUNDLED if spec.probe]
    assert len({spec.name for spec in BUNDLED}) == len(BUNDLED)
    assert len(set(schemes)) == len(schemes)


def test_every_folder_of_a_driver_has_its_constant_in_the_table() -> None:
    folders = {path.parent.name for path in (ROOT / "src/linewitness/devices").glob("*/__init__.py")}
    assert folders == {spec.name for spec in BUNDLED}


def modules_after(*command: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{command[0]}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code, *command[1:]], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines())


def test_the_table_loads_no_driver() -> None:
    loaded = modules_after("import linewitness.devices.table")
    assert not loaded & {"asyncua", "pymodbus", "serial"}
    assert not [
        name for name in loaded if name.startswith("linewitness.devices.opcua.") and "spec" not in name
    ]


def test_checking_a_line_loads_only_the_drivers_that_it_uses() -> None:
    check = "from linewitness.config import load; from pathlib import Path; load(Path(sys.argv[1]))"
    loaded = modules_after(check, str(OVEN))
    assert "linewitness.devices.modbus.options" in loaded
    assert not loaded & {"asyncua", "pymodbus", "linewitness.devices.opcua.options"}


def test_a_driver_of_another_distribution_is_found_by_its_entry_point(
    install: Callable[..., Any], tmp_path: Path
) -> None:
    install(
        "acme-thermo",
        {"thermo": "thermo_spec:SPEC"},
        thermo_spec=SPEC.format(name="thermo", options="thermo_parts:ThermoOptions"),
        thermo_parts=PARTS,
    )
    spec = known("thermo")
    assert (spec.title, spec.distribution) == ("A thermometer", "acme-thermo 1.2")
    assert names()[-1] == "thermo"
    assert title_of("thermo") == "A thermometer"
    [device] = load(line_with(tmp_path, "thermo")).devices
    assert type(device).__name__ == "ThermoOptions"


@pytest.mark.parametrize(
    ("value", "spec", "why"),
    [
        ("thermo_nowhere:SPEC", "", "ModuleNotFoundError"),
        ("thermo_broken:SPEC", "import no_such_library", "No module named 'no_such_library'"),
        ("thermo_broken:SPEC", "1 / 0 =", "SyntaxError"),
        ("thermo_broken:SPEC", "", "AttributeError"),
        ("thermo_broken:SPEC", "SPEC = 'a driver'", "is not the DriverSpec of 'thermo'"),
        ("thermo_broken:SPEC", SPEC.format(name="other", options=""), "is not the DriverSpec of 'thermo'"),
        ("thermo_broken:SPEC", SPEC.format(name="thermo", options="thermo_gone:Options"), "thermo_gone"),
        ("thermo_broken:SPEC", SPEC.format(name="thermo", options="json:dumps"), "is not a DeviceOptions"),
    ],
)
def test_a_broken_driver_names_its_distribution_and_stops_no_other_line(
    install: Callable[..., Any], tmp_path: Path, value: str, spec: str, why: str
) -> None:
    install("acme-thermo", {"thermo": value}, thermo_broken=spec)
    with pytest.raises(ConfigurationErrors) as caught:
        load(line_with(tmp_path, "thermo"))
    [problem] = caught.value.problems
    assert problem.path == "devices.t-1.driver"
    assert "the driver 'thermo' of the distribution acme-thermo 1.2 cannot be loaded" in problem.what
    assert why in problem.what
    assert problem.hint == "update, reinstall or remove acme-thermo"
    assert load(OVEN).devices


def test_two_distributions_with_one_name_are_refused(install: Callable[..., Any]) -> None:
    spec = SPEC.format(name="thermo", options="thermo_parts:ThermoOptions")
    install("acme-thermo", {"thermo": "thermo_spec:SPEC"}, thermo_spec=spec)
    install("other-thermo", {"thermo": "thermo_other:SPEC"}, thermo_other=spec)
    with pytest.raises(DriverUnusable, match=r"acme-thermo 1\.2 and other-thermo 1\.2 .* both use this name"):
        find("thermo")
    assert title_of("thermo") == "thermo"


def test_a_bundled_name_cannot_be_taken(install: Callable[..., Any]) -> None:
    install("acme-thermo", {"modbus": "thermo_nowhere:SPEC"})
    assert known("modbus").distribution == "linewitness"
    assert names().count("modbus") == 1


def test_what_cannot_be_loaded_is_listed_as_such(install: Callable[..., Any]) -> None:
    install("acme-thermo", {"thermo": "thermo_nowhere:SPEC"})
    assert [each for each in usable() if isinstance(each, DriverSpec)] == list(BUNDLED)
    [broken] = [each for each in usable() if isinstance(each, DriverUnusable)]
    assert "acme-thermo" in str(broken)


def test_a_context_shares_one_object_a_line_and_nothing_between_lines() -> None:
    class Shared:
        pass

    one, other = DriverContext(clock=SystemClock()), DriverContext(clock=SystemClock())
    assert one.shared(Shared) is one.shared(Shared)
    assert one.shared(Shared) is not other.shared(Shared)
