"""Reading strace: every change of a file becomes a step, and what cannot be known is refused."""

import sys
from pathlib import Path
from typing import Any

import pytest

from linewitness_selftest.power import cuts as power
from linewitness_selftest.power.calls import parse
from linewitness_selftest.power.disk import Rule
from linewitness_selftest.power.recording import NotRecorded, Recording, record
from linewitness_selftest.power.steps import (
    SITE,
    Enter,
    Leave,
    Mapped,
    Moved,
    Resize,
    Said,
    Sync,
    Write,
)
from linewitness_selftest.power.truth import Truth

pytestmark = pytest.mark.heavy

PLACE = Path("/site")


def escaped(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def path(name: str) -> str:
    return f'"{escaped(f"/site/{name}")}"'


def opened(name: str, number: int = 3, flags: str = "O_RDWR|O_CREAT|O_CLOEXEC") -> str:
    where = escaped(f"/site/{name}")
    return f'7 openat(AT_FDCWD<\\x2f>, "{where}", {flags}, 0644) = {number}<{where}>'


def on(number: int, name: str = "a") -> str:
    return f"{number}<{escaped(f'/site/{name}')}>"


def steps(*lines: str) -> list[Any]:
    return [*parse(lines, PLACE)]


def test_each_call_becomes_its_step() -> None:
    found = steps(
        f"7 mkdir({path('f')}, 0700) = 0",
        opened("f/a"),
        f'7 pwrite64({on(3)}, "\\x61\\x62", 2, 10) = 2',
        f"7 ftruncate({on(3)}, 1) = 0",
        f"7 fdatasync({on(3)}) = 0",
        f'7 write(1<pipe>, "{escaped("told 1")}\\x0a", 7) = 7',
        f"7 rename({path('f/a')}, {path('b')}) = 0",
        f"7 link({path('b')}, {path('c')}) = 0",
        f"7 unlink({path('b')}) = 0",
    )
    bare = [(type(step), step.place) for step in found]
    assert bare == [
        (Enter, "f"), (Enter, "f/a"), (Write, "f/a"), (Resize, "f/a"), (Sync, "f/a"), (Said, ""),
        (Moved, "b"), (Enter, "c"), (Leave, "b"),
    ]  # fmt: skip
    folder, file, write = found[:3]
    assert (file.folder, write.inode, write.offset, write.data) == (folder.inode, file.inode, 10, b"ab")
    assert (found[6].folder, found[6].to_folder) == (folder.inode, SITE)
    assert found[5].line == "told 1"


def test_position_of_plain_writes_is_followed() -> None:
    found = steps(
        opened("a"),
        f'7 write({on(3)}, "\\x61\\x62", 2) = 2',
        f'7 write({on(3)}, "\\x63\\x64", 2) = 1',
        f"7 lseek({on(3)}, 1, SEEK_SET) = 1",
        f'7 write({on(3)}, "\\x65", 1) = 1',
        opened("a", 4, "O_WRONLY|O_APPEND"),
        f'7 write({on(4)}, "\\x66", 1) = 1',
        opened("a", 5, "O_WRONLY|O_CREAT|O_TRUNC"),
        f'7 write({on(5)}, "\\x67", 1) = 1',
    )
    writes = [(step.offset, step.data) for step in found if isinstance(step, Write)]
    assert writes == [(0, b"ab"), (2, b"c"), (1, b"e"), (3, b"f"), (0, b"g")]
    assert Resize(call="openat", place="a", inode=1, size=0) in found


def test_number_that_was_closed_or_given_again_is_not_confused() -> None:
    found = steps(
        opened("a"),
        f"7 fcntl({on(3)}, F_DUPFD_CLOEXEC, 0) = 4",
        f"7 close({on(3)}) = 0",
        opened("b", 3),
        f'7 write({on(3, "b")}, "\\x62", 1) = 1',
        f'7 write({on(4)}, "\\x61", 1) = 1',
    )
    assert [(step.place, step.data) for step in found if isinstance(step, Write)] == [
        ("b", b"b"),
        ("a", b"a"),
    ]


def test_calls_that_failed_and_files_elsewhere_are_left_out() -> None:
    assert (
        steps(
            opened("a").rpartition("=")[0] + "= -1 ENOENT (No such file or directory)",
            '7 openat(AT_FDCWD<\\x2f>, "\\x2f\\x65", O_RDWR|O_CREAT, 0600) = 3<\\x2f\\x65>',
            '7 write(3<\\x2f\\x65>, "\\x61", 1) = 1',
            "7 fsync(3<\\x2f\\x65>) = 0",
            "7 +++ exited with 0 +++",
        )
        == []
    )


def test_index_of_the_log_may_be_mapped() -> None:
    mapped = f"7 mmap(NULL, 32768, PROT_READ|PROT_WRITE, MAP_SHARED, {on(3, 'a-shm')}, 0) = 0x7f00"
    assert isinstance(steps(opened("a-shm"), mapped)[-1], Mapped)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, {on(3)}, 0) = 0x7f00", "through memory"),
        (f'7 pwritev({on(3)}, [{{iov_base="\\x61", iov_len=1}}], 1, 0) = 1', "pwritev is not modelled"),
        (f"7 fallocate({on(3)}, 0, 0, 4096) = 0", "fallocate is not modelled"),
        (f"7 copy_file_range({on(3)}, NULL, {on(4)}, NULL, 10, 0) = 10", "not modelled"),
        ("7 io_uring_setup(8, {flags=0}) = 5", "not modelled"),
        (opened("b", 4, "O_WRONLY|O_CREAT|O_DSYNC"), "not modelled"),
        (f'7 write({on(3)}, "\\x61"..., 2) = 2', "cut off"),
        (f'7 write({on(3)}, "\\x61", 2) = 2', "missing"),
        (f'7 write({on(9, "b")}, "\\x61", 1) = 1', "nobody opened"),
        (f'7 write({on(3)}, "\\x61", 1 <unfinished ...>', "interrupted"),
        (f'8 pwrite64({on(3)}, "\\x61", 1, 0) = 1', "more than one process"),
        (f'7 rename({path("a")}, "\\x2f\\x62") = 0', "border"),
        (f"7 renameat2(4<\\x2f>, {path('a')}, 4<\\x2f>, {path('b')}, RENAME_EXCHANGE) = 0", "EXCHANGE"),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_refused(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        steps(opened("a"), line)


async def recorded(folder: Path, program: str) -> Recording:
    site = folder / "site"
    site.mkdir()
    script = "import os, sys; from pathlib import Path; site = Path(sys.argv[1]); " + program
    return await record(site, [sys.executable, "-c", script, str(site)])


async def test_real_process_is_recorded_as_it_was(tmp_path: Path) -> None:
    recording = await recorded(
        tmp_path,
        "(site / 'f').mkdir(); (site / 'f' / 'ä').write_bytes(bytes(range(256))); os.write(1, b'x\\n')",
    )
    power.check_complete(recording)
    assert [type(step) for step in recording.steps] == [Enter, Enter, Write, Said]
    assert isinstance(recording.steps[2], Write)
    assert recording.steps[2].data == bytes(range(256))
    assert recording.steps[2].place == "f/ä"
    assert [*tmp_path.iterdir()] == [tmp_path / "site"]  # noqa: ASYNC240


async def test_process_that_fails_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(NotRecorded, match="ended with 3"):
        await recorded(tmp_path, "sys.exit(3)")


async def test_recording_that_lacks_something_is_refused(tmp_path: Path) -> None:
    recording = await recorded(tmp_path, "(site / 'a').write_bytes(b'abc')")
    (recording.site / "a").write_bytes(b"abd")
    with pytest.raises(NotRecorded, match="these files are not as they were recorded: a"):
        power.check_complete(recording)
    (recording.site / "a").unlink()
    (recording.site / "b").touch()
    with pytest.raises(NotRecorded, match="a, b"):
        power.check_complete(recording)


async def test_without_strace_nothing_is_injected_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await power.power_cuts(tmp_path, cuts=10, seed=1)
    assert (found.injected, found.survived, found.note) == (
        0,
        0,
        "strace is not installed: nothing was injected",
    )


async def test_strace_that_may_not_trace_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strace").write_text(
        "#!/bin/sh\necho 'strace: ptrace: Operation not permitted' >&2\nexit 1\n"
    )
    (tmp_path / "strace").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = await power.power_cuts(tmp_path, cuts=10, seed=1)
    assert found.injected == 0
    assert "Operation not permitted" in found.note
    assert [*tmp_path.iterdir()] == [tmp_path / "strace"]  # noqa: ASYNC240


def said(operation: str, *, begun: bool = False) -> Said:
    return Said(line=Truth(operation=operation, begun=begun).to_line().decode())


def test_every_operation_has_as_many_cuts_and_the_seed_decides() -> None:
    writes = [Write(inode=1, offset=0, data=b"x")] * 50
    recording = Recording(PLACE, (said("init"), *writes, said("rotate"), writes[0]))
    cuts = power.by_chance(recording, 100, 7)
    assert cuts == power.by_chance(recording, 100, 7)
    assert cuts != power.by_chance(recording, 100, 8)
    assert sum(cut.after >= 51 for cut in cuts) == 50
    assert {cut.rule for cut in cuts} == {*Rule}


def test_cut_after_every_call_takes_the_last_before_anything_changes() -> None:
    write, sync = Write(inode=1, offset=0, data=b"x"), Sync(inode=1)
    recording = Recording(PLACE, (said("init"), write, write, sync, write, said("append"), write))
    ends = {cut.after for cut in power.each_with_nothing(recording)}
    assert ends == {2, 4, 6}
