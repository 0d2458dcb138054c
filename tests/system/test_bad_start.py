"""What cannot start says why and what to do, with the documented exit code."""

import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import ExitCode
from linewitness.demo.plant import free_port
from support.journals import forger
from support.lines import prepare
from support.plants import at_work, new_plant, run, stopped
from support.waiting import until

LINE = """\
version: 1
line: {{tenant: demo, plant: p, line: l, gateway: g, origin: demo.example/p/l/1}}
journal: {{directory: journal{journal}}}
devices:
  - {{id: wrench, driver: open_protocol, host: 127.0.0.1, port: {port}, timezone: UTC}}
"""


@pytest.fixture
def line(tmp_path: Path) -> Path:
    file = tmp_path / "line.yaml"
    file.write_text(LINE.format(journal="", port=free_port()))
    return file


@pytest.fixture
async def journal(line: Path) -> Path:
    await prepare("init", line)
    return line.parent / "journal"


def assert_clear(ended_: Any, code: int, *words: str) -> None:
    """The message is one for people: it says what and what to do, and shows no insides."""
    assert ended_.code == code, ended_
    for word in words:
        assert word in ended_.err, ended_.err
    assert "Traceback" not in ended_.err


async def test_wrong_yaml_is_placed(line: Path) -> None:
    line.write_text(line.read_text().replace("port: ", "prot: "))  # noqa: ASYNC240
    assert_clear(await run("run", line), ExitCode.CONFIGURATION, f"{line}:5:", "devices.wrench.prot")


async def test_yaml_that_is_none(line: Path) -> None:
    line.write_text("line: [")  # noqa: ASYNC240
    assert_clear(await run("run", line), ExitCode.CONFIGURATION, f"{line}:1:")


async def test_missing_yaml(tmp_path: Path) -> None:
    assert_clear(await run("run", tmp_path / "no.yaml"), ExitCode.CONFIGURATION, "no.yaml")


async def test_wrong_usage_ends_with_2() -> None:
    assert (await run("run")).code == ExitCode.CONFIGURATION
    assert (await run("walk")).code == ExitCode.CONFIGURATION


async def test_missing_journal(line: Path) -> None:
    assert_clear(await run("run", line), ExitCode.JOURNAL, "there is no journal", "linewitness init")


async def test_journal_that_is_there_is_not_begun_again(line: Path, journal: Path) -> None:
    assert_clear(await run("init", line), ExitCode.JOURNAL, "a journal", "already")


async def test_second_gateway_on_one_journal(tmp_path: Path) -> None:
    async with new_plant(tmp_path) as plant:
        await plant.gateway.start()
        await at_work(plant)
        assert_clear(await run("run", plant.line_file), ExitCode.JOURNAL, "another gateway is running")
        assert plant.gateway.running
        assert await stopped(plant) == 0


def alter_record(journal: Any) -> None:
    connection = forger(journal)
    connection.execute("DROP TRIGGER record_is_final")
    (data,) = connection.execute("SELECT plain(bytes) FROM record WHERE seq = 0").fetchone()
    connection.execute("UPDATE record SET bytes = ?", (data.replace(b"stream", b"strean"),))
    connection.commit()
    connection.close()


def drop_last_record(journal: Any) -> None:
    connection = sqlite3.connect(journal / "journal.sqlite")
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DELETE FROM record WHERE seq = (SELECT MAX(seq) FROM record)")
    connection.commit()
    connection.close()


def overwrite_a_page(journal: Any, table: str = "record") -> None:
    file = journal / "journal.sqlite"
    connection = sqlite3.connect(file)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    data = bytearray(file.read_bytes())
    data[4096 * (page - 1) : 4096 * page] = b"\xa5" * 4096
    file.write_bytes(data)


def overwrite_the_header(journal: Any) -> None:
    data = bytearray((journal / "journal.sqlite").read_bytes())
    data[:100] = os.urandom(100)
    (journal / "journal.sqlite").write_bytes(data)


def overwrite_the_records(journal: Any) -> None:
    """Every byte of evidence is gone, and the file is still a database."""
    connection = sqlite3.connect(journal / "journal.sqlite")
    connection.execute("DROP TRIGGER record_is_final")
    connection.execute("UPDATE record SET bytes = zeroblob(length(bytes))")
    connection.commit()
    connection.close()


def cut_in_half(journal: Any) -> None:
    data = (journal / "journal.sqlite").read_bytes()
    (journal / "journal.sqlite").write_bytes(data[: len(data) // 2])


def empty(journal: Any) -> None:
    (journal / "journal.sqlite").write_bytes(b"")


def put_a_foreign_database_in_its_place(journal: Any) -> None:
    (journal / "journal.sqlite").unlink()
    connection = sqlite3.connect(journal / "journal.sqlite")
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()


def lose_the_log_key(journal: Any) -> None:
    (journal / "keys" / "log.key").unlink()


def garble_the_event_key(journal: Any) -> None:
    for key in (journal / "keys").glob("*.key"):
        if key.name != "log.key":
            key.write_text("nonsense\n")


def lose_the_folder_of_keys(journal: Any) -> None:
    shutil.rmtree(journal / "keys")


@pytest.mark.parametrize(
    "damage",
    [
        alter_record,
        drop_last_record,
        overwrite_a_page,
        overwrite_the_records,
        overwrite_the_header,
        cut_in_half,
        empty,
        put_a_foreign_database_in_its_place,
        lose_the_log_key,
        garble_the_event_key,
        lose_the_folder_of_keys,
    ],
)
async def test_damaged_journal_is_refused(line: Path, journal: Path, damage: Any) -> None:
    damage(journal)
    before = (journal / "journal.sqlite").read_bytes()
    ended_ = await run("run", line)
    assert_clear(ended_, ExitCode.JOURNAL)
    assert json.loads(ended_.err.splitlines()[-1])["hint"]
    assert (journal / "journal.sqlite").read_bytes() == before, "a damaged journal is not touched"


@pytest.mark.parametrize("table", ["stream", "head", "event_key", "state", "receipt"])
async def test_damaged_page_of_what_a_start_needs_is_refused(line: Path, journal: Path, table: str) -> None:
    overwrite_a_page(journal, table)
    assert_clear(await run("run", line), ExitCode.JOURNAL, "damaged")
    looked = await run("status", line)
    assert looked.code in (ExitCode.REFUSED, ExitCode.JOURNAL), looked  # stopped, or not readable


async def test_damaged_telemetry_does_not_stop_evidence(tmp_path: Path) -> None:
    async with new_plant(tmp_path) as plant:
        (plant.folder / "journal" / "telemetry.sqlite").write_bytes(os.urandom(8192))
        await plant.gateway.start()
        await at_work(plant)
        plant.devices.torque.tighten()
        await until(lambda: plant.devices.torque.acked, "a confirmation")
        assert await stopped(plant) == 0


async def test_folder_that_is_not_ours(line: Path, journal: Path, tmp_path: Path) -> None:
    """Root may write anywhere, so the gateway runs without that right."""
    journal.chmod(0o500)  # noqa: ASYNC240
    for name in ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"):
        if (journal / name).exists():
            (journal / name).chmod(0o400)
    without = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", sys.executable)
    shell = f"exec {' '.join(without)} -m linewitness run {line}"
    ended_ = await run("-c", f"import os; os.execlp('sh', 'sh', '-c', {shell!r})", python=())
    assert_clear(ended_, ExitCode.JOURNAL)
    assert json.loads(ended_.err.splitlines()[-1])["hint"]


async def test_journal_in_a_place_where_no_folder_can_be(line: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line.write_text(line.read_text().replace("directory: journal", "directory: file/journal"))  # noqa: ASYNC240
    assert_clear(await run("init", line), ExitCode.JOURNAL, "file/journal")
    assert_clear(await run("run", line), ExitCode.JOURNAL, "file/journal")


async def test_export_to_where_nothing_can_be_written(line: Path, journal: Path, tmp_path: Path) -> None:
    ended_ = await run("export", line, "-o", tmp_path / "no" / "x.ndjson")
    assert_clear(ended_, ExitCode.CONFIGURATION, "no/x.ndjson")


async def test_reader_of_an_export_goes_away(line: Path, journal: Path) -> None:
    """`linewitness export … | head -1` is no bug."""
    script = f"{sys.executable} -m linewitness export {line} | true; exit ${{PIPESTATUS[0]}}"
    for _ in range(3):
        ended_ = await run("-c", f"import os; os.execlp('bash', 'bash', '-c', {script!r})", python=())
        assert "bug" not in ended_.err, ended_.err


async def test_unreachable_device_is_waited_for_and_said_once(line: Path, journal: Path) -> None:
    """A line whose only device is away runs, says so once, and stops in order."""
    from linewitness.demo.plant import Process  # noqa: PLC0415

    gateway = Process("gateway", line.parent, "run", str(line))
    await gateway.start()
    try:
        log = line.parent / "gateway.log"
        await until(lambda: "device lost" in log.read_text(), "the loss in the log")
        text = await run("status", line)
        assert "wrench  lost" in text.out, text
        await until(lambda: gateway.running)
    finally:
        code = await gateway.stop()
    assert code == 0
    assert log.read_text().count("device lost") == 1
