"""From a YAML to a `Config`: paths, identity, and errors that other programs can use."""

import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from nacl.signing import SigningKey
from pydantic import ValidationError

from linewitness.base.errors import ConfigurationError, ExitCode
from linewitness.base.settings import Options
from linewitness.config import Config, ConfigurationErrors, load, load_as
from linewitness.config.files import missing_files
from linewitness.evidence.format.note import ED25519, Vkey
from support.present import present

LINE = """\
version: 1
line:
  tenant: acme
  plant: ber-01
  line: line-02
  gateway: gw-02
  origin: acme.example/ber-01/line-02/1
journal:
  directory: state
devices:
  - id: oven
    driver: modbus
    host: 10.0.0.7
    points:
      - {id: temperature, address: 0, type: int16, record: change, low: 12.30}
"""
UPLINK = """\
uplink:
  url: mqtts://broker
  username: gw-02
  password: {file: secrets/mqtt}
  tls: {ca: /etc/ca.pem}
store:
  vkey: store.acme.example/audit+b4dcf61e+BCMFTsFbsxey08iKGh/jeH91ZmwnP+9Z3DJHvz4wHZnA
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Any]:
    def writer(text: str, name: str = "line.yaml") -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return writer


def test_sections_that_are_left_out_have_their_defaults(write: Callable[..., Any]) -> None:
    config = load(write(LINE))
    assert (config.uplink, config.store, config.stations) == (None, None, ())
    assert (config.status.host, config.status.port, config.log.level) == ("127.0.0.1", 8460, "info")


def test_a_device_has_the_options_of_its_driver(write: Callable[..., Any]) -> None:
    [device] = load(write(LINE)).devices
    assert type(device).__name__ == "ModbusOptions"


def test_a_limit_keeps_the_digits_of_the_file(write: Callable[..., Any]) -> None:
    [device] = load(write(LINE)).devices
    low = cast(Any, device).points[0].low
    assert (low, str(low)) == (Decimal("12.30"), "12.30")


def test_paths_are_seen_from_the_folder_of_the_file(
    write: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(LINE + UPLINK)
    monkeypatch.chdir(tmp_path.parent)
    config = load(Path(tmp_path.name) / "line.yaml")
    assert config.journal.directory == tmp_path / "state"
    assert present(present(config.uplink).password).file == tmp_path / "secrets" / "mqtt"
    assert present(config.uplink).tls.ca == Path("/etc/ca.pem")


def test_a_configuration_cannot_be_changed(write: Callable[..., Any]) -> None:
    config = load(write(LINE))
    with pytest.raises(ValidationError):
        cast(Any, config).version = 2
    with pytest.raises(ValidationError):
        cast(Any, config.journal).directory = Path("/elsewhere")


def test_the_digest_does_not_depend_on_how_the_file_is_written(write: Callable[..., Any]) -> None:
    rewritten = LINE.replace("version: 1\n", "") + "version: 0x1   # moved\nlog: {level: info}\n"
    assert load(write(LINE)).digest == load(write(rewritten, "other.yaml")).digest


def test_the_digest_does_not_depend_on_the_order_of_a_table(write: Callable[..., Any]) -> None:
    one = LINE.replace("low: 12.30", "labels: {0: idle, 1: heating}")
    two = LINE.replace("low: 12.30", "labels: {1: heating, 0: idle}")
    assert load(write(one)).digest == load(write(two, "other.yaml")).digest


def test_the_digest_changes_with_any_setting(write: Callable[..., Any]) -> None:
    changed = LINE.replace("low: 12.30", "low: 12.31")
    assert load(write(LINE)).digest != load(write(changed, "other.yaml")).digest


def test_the_digest_names_where_a_secret_is_kept_and_not_the_secret(
    write: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir()
    secret = tmp_path / "secrets" / "mqtt"
    secret.write_text("one")
    config = load(write(LINE + UPLINK))
    secret.write_text("two")
    assert load(write(LINE + UPLINK)).digest == config.digest
    assert load(write(LINE + UPLINK.replace("secrets/mqtt", "secrets/other"))).digest != config.digest


def test_the_digest_is_a_sha256_in_the_form_of_the_records(write: Callable[..., Any]) -> None:
    algorithm, _, value = load(write(LINE)).digest.partition(":")
    assert (algorithm, len(value)) == ("sha256", 64)


def test_files_that_are_not_there_are_named_with_their_setting(
    write: Callable[..., Any], tmp_path: Path
) -> None:
    told = missing_files(load(write(LINE + UPLINK)))
    assert [line.partition(":")[0] for line in told] == ["uplink.password.file", "uplink.tls.ca"]
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mqtt").write_text("x")
    told = missing_files(load(write(LINE + UPLINK)))
    assert [line.partition(":")[0] for line in told] == ["uplink.tls.ca"]


@pytest.mark.parametrize("listen", ["0.0.0.0:8460", "10.0.0.1:80", "gateway:80", "[::]:80"])
def test_the_status_page_stays_on_this_machine(write: Callable[..., Any], listen: str) -> None:
    with pytest.raises(ConfigurationErrors, match="only this machine may reach it"):
        load(write(LINE + f'status:\n  listen: "{listen}"\n'))


@pytest.mark.parametrize(
    ("listen", "host"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:8460", "::1"), ("localhost:80", "localhost")]
)
def test_the_status_page_listens_on_loopback(write: Callable[..., Any], listen: str, host: str) -> None:
    assert load(write(LINE + f'status:\n  listen: "{listen}"\n')).status.host == host


@pytest.mark.parametrize("listen", ["8460", "127.0.0.1", "127.0.0.1:99999", "::1:80"])
def test_an_address_without_host_or_port_is_refused(write: Callable[..., Any], listen: str) -> None:
    with pytest.raises(ConfigurationErrors, match="an address looks like"):
        load(write(LINE + f'status:\n  listen: "{listen}"\n'))


def test_a_logs_key_is_not_taken_for_a_stores(write: Callable[..., Any]) -> None:
    log = Vkey("acme.example/line-02/1", ED25519, bytes(SigningKey(bytes(32)).verify_key))
    with pytest.raises(ConfigurationErrors, match=r"store\.vkey: this is the key of a log"):
        load(write(LINE + f"store: {{vkey: {log}}}\n"))


def test_errors_are_configuration_errors_and_survive_another_process(write: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(write(LINE.replace("version: 1", "version: 3")))
    again: Any = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 (our own bytes)
    assert str(again) == str(caught.value)
    assert again.problems == cast(Any, caught.value).problems
    assert again.exit_code == ExitCode.CONFIGURATION


def test_an_empty_uplink_is_no_uplink(write: Callable[..., Any]) -> None:
    config = load(write(LINE + "uplink:\n"))
    assert isinstance(config, Config)
    assert config.uplink is None


class Depot(Options):
    folder: Path
    url: str = ""


def test_another_file_is_answered_in_the_same_way(write: Callable[..., Any], tmp_path: Path) -> None:
    assert load_as(write("folder: here\n"), Depot).folder == tmp_path / "here"
    with pytest.raises(ConfigurationErrors) as caught:
        load_as(write("foldr: here\nurl: postgresql://me:hunter2@db\n"), Depot)
    assert str(caught.value).replace(f"{tmp_path}/", "").splitlines() == [
        "line.yaml:1:1: folder: is missing",
        "line.yaml:1:1: foldr: there is no setting 'foldr' here (did you mean 'folder'?)",
        (
            "line.yaml:2:6: url: an address must not carry a password "
            "(give the user and the password's file in settings of their own)"
        ),
    ]


def test_another_file_that_is_no_group_is_told_how_to_begin(write: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationErrors, match="begin with 'folder:'"):
        load_as(write("- folder\n"), Depot)
