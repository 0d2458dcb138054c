"""Lists that are taken over: what stations get, what one record holds, and what the commands say."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import ConfigurationError
from linewitness.config.lists.reading import read_listing
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.intake.arrival import Standstills
from linewitness.gateway.lifecycle import Lifecycle
from linewitness.gateway.lists.keeper import ListKeeper
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.lists.options import ListOptions, ListsOptions, LotListOptions
from linewitness.status.health import Health
from support.clocks import ManualClock
from support.journals import create, members_of, running
from support.lines import call, write_line
from support.present import present

LOTS = "part,lot,status\nA-100,L1,released\nA-100,L2,blocked\n"


def keeper_of(journal: Journal, directory: Path, clock: ManualClock) -> ListKeeper:
    lifecycle = Lifecycle(journal, clock=clock, gateway="gw-02", config_digest="sha256:1")
    return ListKeeper(journal, lifecycle, directory=directory, clock=clock, read=read_listing)


def applied(directory: Path) -> list[dict[str, Any]]:
    return [
        {change["field"]: (change["before"], change["after"]) for change in each["changes"]}
        for each in members_of(directory)
        if each["kind"] == "config.applied"
    ]


async def test_stations_get_the_lists_before_they_begin_and_whenever_they_change(
    tmp_path: Path, clock: ManualClock
) -> None:
    directory, file = tmp_path / "journal", tmp_path / "lots.csv"
    create(directory, clock)
    file.write_text(LOTS)
    buffer = TelemetryBuffer(directory, max_bytes=2**20)
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        fleet = Fleet(
            group,
            build=lambda _: pytest.fail("no device is configured"),
            journal=journal,
            telemetry=buffer,
            clock=clock,
            health=Health(),
            standstills=Standstills(clock),
        )
        keeper = keeper_of(journal, directory, clock)
        await keeper.prepare(ListsOptions(lots=LotListOptions(file=file, max_age_h=5, only_listed=True)))
        await keeper.take_over(fleet.take_over_lists)
        await fleet.apply([], [])
        lists = present(fleet._shared).lists
        assert lists.lots["A-100", "L2"].blocked
        state = lists.states["lots"]
        assert (state.only_listed, state.max_age_s) == (True, 5 * 3600)
        assert state.as_of_ns == file.stat().st_mtime_ns
        assert not lists.has("routes")
        file.write_text(LOTS.replace("blocked", "released"))
        await keeper.take_over(fleet.take_over_lists)
        assert not present(fleet._shared).lists.lots["A-100", "L2"].blocked
        await keeper.prepare(ListsOptions())
        await keeper.take_over(fleet.take_over_lists)
        assert not present(fleet._shared).lists.has("lots"), "the YAML names it no more"
    buffer.close()


@pytest.mark.heavy
async def test_a_list_of_which_much_changed_fits_into_one_record(tmp_path: Path, clock: ManualClock) -> None:
    directory, file = tmp_path / "journal", tmp_path / "lots.csv"
    create(directory, clock)
    rows = [f"A-100,L{number:05},released" for number in range(5_000)]
    file.write_text("\n".join(["part,lot,status", *rows, ""]))
    async with running(directory, clock) as journal:
        keeper = keeper_of(journal, directory, clock)
        await keeper.prepare(ListsOptions(lots=LotListOptions(file=file)))
        await keeper.take_over(lambda _: None)
        rows[4_990] = rows[4_990].replace("released", "blocked")
        file.write_text("\n".join(["part,lot,status", "B-200,L1,released", *rows[4_000:], ""]))
        await keeper.take_over(lambda _: None)
    first, second = applied(directory)
    assert first.keys() == {"lists.lots.digest", "lists.lots.entries", "lists.lots.written"}
    assert second["lists.lots.entries"] == (5_000, 1_001)
    assert second["lists.lots.differing"] == (None, "4002")
    assert second["lists.lots/A-100/L04990"] == ("released", "blocked"), "what is blocked now is named first"
    named = [field for field in second if field.startswith("lists.lots/")]
    assert len(named) > 100
    assert len(named) + int(second["config.changes_not_named"][1]) == 4_002


async def test_without_the_last_copy_a_record_says_that_the_differences_are_unknown(
    tmp_path: Path, clock: ManualClock
) -> None:
    directory, file = tmp_path / "journal", tmp_path / "lots.csv"
    create(directory, clock)
    for text in (LOTS, LOTS.replace("blocked", "released")):
        file.write_text(text)
        async with running(directory, clock) as journal:
            keeper = keeper_of(journal, directory, clock)
            await keeper.prepare(ListsOptions(lots=LotListOptions(file=file)))
            await keeper.take_over(lambda _: None)
        for copy in (directory / "lists").iterdir():
            copy.unlink()
    assert applied(directory)[1]["lists.lots.differing"] == (None, "unknown")


@pytest.mark.heavy
async def test_a_pipe_in_place_of_a_list_holds_nobody_up(tmp_path: Path, clock: ManualClock) -> None:
    directory, file = tmp_path / "journal", tmp_path / "tools.csv"
    create(directory, clock)
    os.mkfifo(file)
    async with running(directory, clock) as journal:
        with pytest.raises(ConfigurationError, match="is not a file"):
            await keeper_of(journal, directory, clock).prepare(
                ListsOptions(calibrations=ListOptions(file=file))
            )


STATIONS = """\
stations:
  - {id: st-10, devices: [scanner-1]}
lists:
  qualifications: {file: people.csv, max_age_h: 1}
  lots: {file: lots.csv}
"""


def test_check_reads_the_lists_with_the_yaml(tmp_path: Path) -> None:
    yaml = write_line(tmp_path, more=STATIONS)
    (tmp_path / "people.csv").write_text(
        "# issued: 2026-03-01T00:00:00Z\nperson,station,until\n4711,st-1O,2027-01-01\n4711,st-20,2027-01-01\n"
    )
    done = call("check", yaml)
    assert done.exit_code == 0
    assert f"{tmp_path}/people.csv:3:6: warning: the list of qualifications names 'st-1O'" in done.output
    assert "1 more like it (did you mean 'st-10'?)" in done.output
    assert "h old and does not count" in done.output
    assert "warning: lists.lots.file: the file" in done.output
    assert "ok, 1 device, 0 points, 1 station, 2 qualifications" in done.output
    assert call("check", yaml, "--files").exit_code == 2
    (tmp_path / "lots.csv").write_text("part,lot\n")
    done = call("check", yaml)
    assert done.exit_code == 2
    assert f"{tmp_path}/lots.csv:1:1: the column 'status' is missing" in done.output


def test_a_key_for_cosignatures_cannot_sign_lists(tmp_path: Path) -> None:
    vkey = "store.example+0f9eea41+BMlC8mZn8Yu9ZSTbSDB4xJp+vuOx0VyXwa9NHFRE5s4h"
    more = f"lists:\n  lots: {{file: lots.csv, signed_by: {vkey}}}\n"
    done = call("check", write_line(tmp_path, more=more))
    assert done.exit_code == 2
    assert "lists.lots.signed_by: " in done.output


def test_an_owner_makes_a_key_signs_a_list_and_sees_that_it_counts(tmp_path: Path) -> None:
    lots, key, signed = tmp_path / "lots.csv", tmp_path / "erp.key", tmp_path / "signed.csv"
    made = call("lists", "key", "acme.example/erp", key)
    assert key.stat().st_mode & 0o777 == 0o600
    vkey = made.output.split()[1]
    lots.write_bytes(LOTS.replace("\n", "\r\n").encode())
    assert "signed by acme.example/erp" in call("lists", "sign", lots, "--key", key, "-o", signed).output
    assert signed.read_bytes().startswith(b"# issued: 20")
    again = call("lists", "sign", signed, "--key", key, "-o", tmp_path / "twice.csv")
    assert "is signed already" in str(again.exception)
    yaml = write_line(tmp_path, more=f"lists:\n  lots: {{file: signed.csv, signed_by: {vkey}}}\n")
    assert "2 lots" in call("check", yaml).output
    call("init", yaml)
    shown = call("lists", "show", yaml)
    assert shown.exit_code == 0
    assert "nothing was taken over yet" in shown.output
    assert "is another one, with 2 entries: not taken over yet" in shown.output
    signed.write_bytes(lots.read_bytes())
    shown = call("lists", "show", yaml)
    assert shown.exit_code == 2
    assert "file refused" in shown.output
