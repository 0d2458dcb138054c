"""A line on a Debian box: unit, folders, YAML, credentials; and off again without its evidence."""

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from linewitness.base.errors import ConfigurationError
from linewitness.install import units
from linewitness.install.files import InstallRoot
from support.lines import call, write_line

pytestmark = pytest.mark.heavy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def line(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    file = write_line(
        source,
        more="uplink: {url: 'mqtts://b', username: gw, password: {credential: mqtt-password}}\n"
        "store: {vkey: store.acme.example/audit+b4dcf61e+BCMFTsFbsxey08iKGh/jeH91ZmwnP+9Z3DJHvz4wHZnA}\n",
    )
    text = file.read_text().replace("directory: journal", "directory: /var/lib/linewitness/line-02")
    named = source / "line-02.yaml"
    named.write_text(text)
    return named


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_is_where_systemd_expects_it(line: Path, root: Path) -> None:
    done = call("install", line, "--root", root)
    assert done.exit_code == 0, done.output
    assert (root / "etc/linewitness/line-02.yaml").read_text() == line.read_text()
    unit = (root / "etc/systemd/system/linewitness@.service").read_text()
    assert "ExecStart=/opt/linewitness/bin/linewitness run /etc/linewitness/%i.yaml" in unit
    credentials = root / "etc/systemd/system/linewitness@line-02.service.d/credentials.conf"
    assert "LoadCredential=mqtt-password:/etc/linewitness/secrets/mqtt-password" in credentials.read_text()
    assert mode(root / "etc/linewitness/secrets") == 0o700
    assert "CREDENTIALS_DIRECTORY=" in done.output, "where `init` finds a wrapping key"
    assert "linewitness init" in done.output
    assert "systemctl enable --now linewitness@line-02.service" in done.output
    assert "mqtt-password, mode 0600" in done.output


def test_what_is_installed_satisfies_systemd(line: Path, root: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    call("install", line, "--root", root)
    folder = root / "etc/systemd/system"
    unit = folder / "linewitness@line-02.service"
    text = (folder / "linewitness@.service").read_text()
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text))
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={"SYSTEMD_UNIT_PATH": f"{folder}:"},
    )
    assert "linewitness@" not in found.stderr, found.stderr


def test_installing_twice_changes_nothing(line: Path, root: Path) -> None:
    call("install", line, "--root", root)
    again = call("install", line, "--root", root)
    assert again.exit_code == 0
    assert "wrote" not in again.output
    assert "renewed" not in again.output


def test_a_changed_yaml_on_the_machine_is_never_overwritten(line: Path, root: Path) -> None:
    call("install", line, "--root", root)
    installed = root / "etc/linewitness/line-02.yaml"
    installed.write_text(installed.read_text() + "# tuned by the night shift\n")
    again = call("install", line, "--root", root)
    assert isinstance(again.exception, ConfigurationError)
    assert "differs" in str(again.exception)
    assert "night shift" in installed.read_text()


def test_a_newer_release_renews_its_unit(line: Path, root: Path) -> None:
    call("install", line, "--root", root)
    unit = root / "etc/systemd/system/linewitness@.service"
    unit.write_text("[Service]\n# of an older release\n")
    assert "renewed" in call("install", line, "--root", root).output
    assert "DynamicUser=yes" in unit.read_text()


def test_a_journal_that_the_unit_may_not_write_is_refused(line: Path, root: Path) -> None:
    line.write_text(line.read_text().replace("/var/lib/linewitness/line-02", "/srv/journal"))
    refused = call("install", line, "--root", root)
    assert "directory: /var/lib/linewitness/line-02" in str(refused.exception)
    assert list(root.iterdir()) == []


def test_a_secret_in_a_file_that_the_service_cannot_read_is_refused(
    line: Path, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("x")
    text = line.read_text().replace("{credential: mqtt-password}", f"{{file: {tmp_path}/password}}")
    line.write_text(text)
    refused = call("install", line, "--root", root)
    assert "credential: NAME" in str(refused.exception)


@pytest.mark.parametrize("name", ["line 02", "-x", "a/b", "", "x" * 80])
def test_a_name_that_is_no_unit_is_refused(name: str, root: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name"):
        units.uninstall_line(InstallRoot(root), name)


def test_uninstalling_leaves_evidence_keys_and_yaml(line: Path, root: Path) -> None:
    call("install", line, "--root", root)
    journal = root / "var/lib/linewitness/line-02"
    journal.mkdir(parents=True)
    (journal / "journal.sqlite").write_text("evidence")
    done = call("uninstall", "line-02", "--root", root)
    assert done.exit_code == 0, done.output
    assert not (root / "etc/systemd/system/linewitness@.service").exists()
    assert not (root / "etc/systemd/system/linewitness@line-02.service.d").exists()
    assert (journal / "journal.sqlite").read_text() == "evidence"
    assert (root / "etc/linewitness/line-02.yaml").exists()
    assert f"stays    {journal}" in done.output


def test_the_unit_stays_while_another_line_needs_it(line: Path, root: Path) -> None:
    call("install", line, "--root", root)
    other = root / "etc/linewitness/line-03.yaml"
    other.write_text("version: 1\n")
    call("uninstall", "line-02", "--root", root)
    assert (root / "etc/systemd/system/linewitness@.service").exists()


def test_the_example_is_a_line_that_can_be_installed(root: Path, tmp_path: Path) -> None:
    assert call("install", "--root", root).exit_code == 0
    example = tmp_path / "line-02.yaml"
    example.write_text((root / "etc/linewitness/example.yaml").read_text())
    assert call("check", example).exit_code == 0
    installed = call("install", example, "--root", root)
    assert installed.exit_code == 0, installed.exception


def test_the_store_is_installed_likewise(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "store.yaml"
    file.write_text(
        "database: sqlite:////var/lib/linewitness-store/store.db\nname: s.example\n"
        "key: {credential: store-key}\nmqtt: {url: 'mqtts://b'}\n"
    )
    done = call("install", file, "--store", "--root", root)
    assert done.exit_code == 0, done.exception
    assert (root / "etc/linewitness-store/store.yaml").exists()
    assert "store run" in (root / "etc/systemd/system/linewitness-store.service").read_text()
    dropin = root / "etc/systemd/system/linewitness-store.service.d/credentials.conf"
    assert "LoadCredential=store-key:/etc/linewitness-store/secrets/store-key" in dropin.read_text()


def test_a_program_that_the_unit_hides_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/anna/venv")
    with pytest.raises(ConfigurationError, match="could not see"):
        units.program()
    monkeypatch.setattr(sys, "prefix", "/opt/linewitness")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert units.program() == Path("/opt/linewitness/bin/linewitness")


def test_a_key_in_the_folder_that_the_service_owns_is_allowed(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "store.yaml"
    file.write_text(
        "database: sqlite:////var/lib/linewitness-store/store.db\nname: store.example\n"
        "key: {file: /var/lib/linewitness-store/store.key}\nmqtt: {url: 'mqtts://broker.example'}\n"
    )
    done = call("install", "--store", file, "--root", root)
    assert done.exit_code == 0, done.output
    assert "linewitness store init" in done.output
    file.write_text(file.read_text().replace("/var/lib/linewitness-store/store.key", "/etc/store.key"))
    assert "credential: NAME" in str(call("install", "--store", file, "--root", root).exception)


OVEN = """\
  - id: furnace
    driver: modbus
    host: 10.0.0.9
    points_from: TABLE
"""


def with_table(line: Path, name: str) -> Path:
    (line.parent / "points").mkdir()
    (line.parent / "points/furnace.csv").write_text("id,address,type,record\nzone,1,int16,change\n")
    text = line.read_text()
    line.write_text(text.replace("devices:\n", "devices:\n" + OVEN.replace("TABLE", name), 1))
    return line


def test_tables_of_points_are_installed_beside_the_yaml(line: Path, root: Path) -> None:
    done = call("install", with_table(line, "points/furnace.csv"), "--root", root)
    assert done.exit_code == 0, done.output
    installed = root / "etc/linewitness/points/furnace.csv"
    assert installed.read_text() == (line.parent / "points/furnace.csv").read_text()
    assert str(installed) in done.output


def test_a_table_that_the_service_could_not_see_is_refused(line: Path, root: Path) -> None:
    hidden = line.parent / "points/furnace.csv"
    done = call("install", with_table(line, str(hidden)), "--root", root)
    assert isinstance(done.exception, ConfigurationError)
    assert "could not see the table of points" in str(done.exception)
    assert not (root / "etc/linewitness/line-02.yaml").exists()
