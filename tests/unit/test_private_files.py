"""What is evidence or a secret is for its owner alone, and a secret that others may read is refused."""

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import ConfigurationError, ExitCode
from linewitness.base.secrets import Secret, exposure, group_may, refuse_exposed
from linewitness.journal.telemetry.file import SignalFile
from linewitness.store.database.database import Database
from linewitness.store.keys import Cosigner, create_key
from support.clocks import ManualClock
from support.journals import create, reopen, result_event, running
from support.lines import call, write_line


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Let the process make what it makes for everybody, unless it says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def exposed_in(folder: Path) -> list[str]:
    """Return the files below a folder that others than their owner may use."""
    return sorted(str(each) for each in folder.rglob("*") if each.is_file() and mode_of(each) & 0o077)


@pytest.mark.usefixtures("open_umask")
async def test_journal_keys_log_and_shared_memory_are_for_their_owner(
    tmp_path: Path, clock: ManualClock
) -> None:
    directory = tmp_path / "plant" / "journal"
    create(directory, clock)
    async with running(directory, clock) as journal:
        await journal.submit([result_event(1, clock)])
        SignalFile(directory / "telemetry.sqlite").close()
        assert {each.name for each in directory.iterdir()} > {"journal.sqlite", "journal.sqlite-wal", "lock"}
        assert exposed_in(directory) == []
    assert mode_of(directory) == mode_of(directory / "keys") == 0o700


@pytest.mark.usefixtures("open_umask")
def test_the_stores_database_and_its_log_are_for_their_owner(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'store.db'}")
    with closing(database):
        database.create()
        with database.writing() as connection:
            connection.exec_driver_sql("CREATE TABLE more (id INTEGER)")
            assert (tmp_path / "store.db-wal").exists()
            assert exposed_in(tmp_path) == []


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("name", ["unit.zip", "stream.ndjson"])
def test_exports_are_for_their_owner(tmp_path: Path, clock: ManualClock, name: str) -> None:
    directory, out = tmp_path / "journal", tmp_path / "out"
    out.mkdir()
    create(directory, clock)
    file = reopen(directory, clock)
    file.close()
    done = call("export", directory, "-o", out / name)
    assert done.exit_code == 0, done.output
    assert list(out.iterdir())
    assert exposed_in(out) == []


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("name", ["all.zip", "all.ndjson"])
def test_exports_of_the_store_are_for_their_owner(tmp_path: Path, name: str) -> None:
    file = store_yaml(tmp_path)
    assert call("store", "init", file).exit_code == 0
    done = call("store", "export", file, "-o", tmp_path / name, "--ndjson")
    assert done.exit_code == 0, done.output
    assert mode_of(tmp_path / name) == 0o600


def store_yaml(folder: Path) -> Path:
    file = folder / "store.yaml"
    file.write_text(
        "database: sqlite:///store.db\nname: s.example\nkey: {file: store.key}\n"
        "mqtt: {url: mqtt://127.0.0.1:9, username: store, password: {file: pw}}\n"
    )
    (folder / "pw").write_text("secret")
    (folder / "pw").chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (0o600, None),
        (0o400, None),
        (0o604, "every user of this machine may use {file} (chmod go= {file})"),
        (0o602, "every user of this machine may use {file} (chmod go= {file})"),
        (0o644, "every user of this machine may use {file} (chmod go= {file})"),
        (0o620, "the group of {file} may use it (chmod g= {file})"),
    ],
)
def test_what_others_may_do_with_a_secret_is_said_with_what_to_do(
    tmp_path: Path, bits: int, said: str | None
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    secret.chmod(bits)
    assert exposure(secret) == (None if said is None else said.format(file=secret))


def test_a_secret_that_is_not_there_is_not_exposed(tmp_path: Path) -> None:
    refuse_exposed([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("mode", "owner", "us", "may"),
    [
        (0o640, 0, 1000, True),  # root:linewitness, as an administrator hands a key to a service
        (0o640, 65_534, 1000, True),  # the same, seen from a service with users of its own
        (0o440, 0, 1000, True),  # a systemd credential: its ACL shows as the group's bits
        (0o640, 1000, 1000, False),
        (0o600, 1000, 1000, True),
        (0o640, 0, 0, True),
        (0o640, 1000, 0, False),  # `linewitness check` as root sees what the service will refuse
        (0o660, 0, 1000, False),
    ],
)
def test_a_group_may_read_only_what_was_handed_over_to_it(mode: int, owner: int, us: int, may: bool) -> None:
    assert group_may(mode, owner=owner, us=us) is may


def exposed_line(folder: Path, clock: ManualClock) -> Path:
    create(folder / "journal", clock)
    (folder / "pw").write_text("secret")
    (folder / "pw").chmod(0o644)
    store = "store:\n  vkey: store.demo.example+af2add38+BMkzGYD25lzCqldM5FG44mXDTFMW14TNvrzAd3lV0hRW\n"
    return write_line(
        folder,
        more=f"{store}uplink: {{url: mqtt://127.0.0.1:9, username: gw, password: {{file: {folder}/pw}}}}\n",
    )


@pytest.mark.parametrize("command", ["check", "run"])
def test_check_and_run_refuse_a_password_that_others_may_read(
    tmp_path: Path, clock: ManualClock, command: str
) -> None:
    file = exposed_line(tmp_path, clock)
    found = call(command, file)
    error = found.exception
    code = error.exit_code if isinstance(error, ConfigurationError) else found.exit_code
    assert code == ExitCode.CONFIGURATION
    assert f"chmod go= {tmp_path}/pw" in f"{found.output} {error}"
    (tmp_path / "pw").chmod(0o600)
    assert call("check", file).exit_code == 0


def test_the_store_refuses_a_password_that_others_may_read(tmp_path: Path) -> None:
    file = store_yaml(tmp_path)
    assert call("store", "init", file).exit_code == 0
    (tmp_path / "pw").chmod(0o644)
    error = call("store", "run", file).exception
    assert isinstance(error, ConfigurationError)
    assert "pw" in str(error)


def test_the_store_refuses_its_key_when_others_may_read_it(tmp_path: Path) -> None:
    create_key("s.example", tmp_path / "store.key")
    secret = Secret(file=tmp_path / "store.key")
    assert Cosigner.load("s.example", secret).name == "s.example"
    (tmp_path / "store.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod go= "):
        Cosigner.load("s.example", secret)


def test_a_journal_whose_keys_others_may_read_is_not_opened(tmp_path: Path, clock: ManualClock) -> None:
    create(tmp_path, clock)
    (tmp_path / "keys" / "log.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"log\.key \(chmod go= .*log\.key\)"):
        reopen(tmp_path, clock)
    (tmp_path / "keys" / "log.key").chmod(0o600)
    reopen(tmp_path, clock).close()


def test_a_key_of_a_device_is_a_secret_too(tmp_path: Path) -> None:
    """Modbus names the file of its key without the word `file`."""
    (tmp_path / "plc.key").write_text("key")
    (tmp_path / "plc.key").chmod(0o644)
    tls: Any = "{ca: ca.pem, certificate: ours.pem, key: plc.key}"
    file = write_line(tmp_path)
    device = f"  - {{id: plc, driver: modbus, host: plc, transport: tls, tls: {tls}}}\n"
    file.write_text(file.read_text() + device)
    found = call("check", file)
    assert found.exit_code == ExitCode.CONFIGURATION
    assert f"every user of this machine may use {tmp_path}/plc.key" in found.output
