"""Private keys at rest: durable, wrapped if wished, gone when their time is over."""

import base64
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from nacl.signing import SigningKey

from linewitness.base.clock import SharedClockState
from linewitness.base.durable import open_private
from linewitness.base.errors import ConfigurationError, JournalDamaged, JournalError
from linewitness.base.secrets import Secret
from linewitness.journal.file import JournalFile
from linewitness.journal.keyring import LOG_KEY, Keyring, keyring_of
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import IDENTITY, create, members_of, options, reopen, running, verdict_of

WRAPPING = bytes(range(32))


@pytest.fixture
def plain(tmp_path: Path) -> Keyring:
    keyring = Keyring(tmp_path)
    keyring.create()
    return keyring


@pytest.fixture
def wrapping(tmp_path: Path, plain: Keyring) -> Keyring:
    return Keyring(tmp_path, wrapping_key=WRAPPING)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "keys").iterdir()}


def test_a_key_comes_back_as_it_was_saved(plain: Keyring, wrapping: Keyring) -> None:
    for keyring in (plain, wrapping):
        key = SigningKey.generate()
        keyring.save("log", key)
        assert bytes(keyring.load("log")) == bytes(key)


def test_a_wrapped_key_is_not_on_the_disk_in_the_open(wrapping: Keyring, tmp_path: Path) -> None:
    key = SigningKey.generate()
    wrapping.save("log", key)
    [data] = contents(tmp_path).values()
    assert bytes(key) not in data
    assert base64.b64encode(bytes(key)) not in data


def test_plain_keys_are_wrapped_at_the_first_start_with_a_wrapping_key(
    plain: Keyring, wrapping: Keyring, tmp_path: Path
) -> None:
    keys = {name: SigningKey.generate() for name in ("log", "1a2b3c4d")}
    for name, key in keys.items():
        plain.save(name, key)
    inode = os.open(tmp_path / "keys" / "log.key", os.O_RDONLY)
    wrapping.tidy()
    assert os.read(inode, 1000).strip(b"\0") == b""  # the plain file itself was overwritten
    os.close(inode)
    assert {name: bytes(wrapping.load(name)) for name in keys} == {n: bytes(k) for n, k in keys.items()}
    assert sorted(contents(tmp_path)) == ["1a2b3c4d.key", "log.key"]
    with pytest.raises(ConfigurationError, match="wrapping_key"):
        plain.load("log")


@pytest.mark.parametrize("crash", ["after the second name", "after the rename", "after writing beside"])
def test_wrapping_that_was_cut_short_is_finished_at_the_next_opening(
    plain: Keyring, wrapping: Keyring, tmp_path: Path, crash: str
) -> None:
    key = SigningKey.generate()
    plain.save("log", key)
    path = tmp_path / "keys" / "log.key"
    beside = wrapping._write_beside(path, wrapping._line("log", bytes(key)))
    if crash != "after writing beside":
        (tmp_path / "keys" / "log.key.replaced").hardlink_to(path)
    if crash == "after the rename":
        beside.rename(path)
    wrapping.tidy()
    wrapping.tidy()
    assert bytes(wrapping.load("log")) == bytes(key)
    wrapping.erase_all_but("log")
    assert list(contents(tmp_path)) == ["log.key"]
    assert bytes(wrapping.load("log")) == bytes(key)


def test_a_plain_opening_after_a_cut_short_wrapping_keeps_the_key(plain: Keyring, tmp_path: Path) -> None:
    key = SigningKey.generate()
    plain.save("log", key)
    (tmp_path / "keys" / "log.key.replaced").hardlink_to(tmp_path / "keys" / "log.key")
    plain.tidy()
    plain.erase_all_but("log")
    assert bytes(plain.load("log")) == bytes(key)


def test_the_wrong_wrapping_key_is_named_as_the_cause(wrapping: Keyring, tmp_path: Path) -> None:
    wrapping.save("log", SigningKey.generate())
    with pytest.raises(ConfigurationError, match="another wrapping key"):
        Keyring(tmp_path, wrapping_key=bytes(32)).load("log")


def test_one_wrapped_key_cannot_stand_in_for_another(wrapping: Keyring, tmp_path: Path) -> None:
    wrapping.save("1a2b3c4d", SigningKey.generate())
    (tmp_path / "keys" / "1a2b3c4d.key").rename(tmp_path / "keys" / "log.key")
    with pytest.raises(JournalDamaged, match="another key than its name"):
        wrapping.load("log")


@pytest.mark.parametrize(
    ("content", "error"), [(b"nonsense", JournalDamaged), (b"\0" * 77, JournalDamaged), (None, JournalError)]
)
def test_what_is_not_a_key_is_said_with_its_file(
    plain: Keyring, tmp_path: Path, content: bytes | None, error: type[JournalDamaged] | type[JournalError]
) -> None:
    if content is not None:
        (tmp_path / "keys" / "log.key").write_bytes(content)
    with pytest.raises(error, match=r"log\.key"):
        plain.load("log")


def test_erasing_overwrites_before_it_removes(plain: Keyring, tmp_path: Path) -> None:
    plain.save("old", SigningKey.generate())
    inode = os.open(tmp_path / "keys" / "old.key", os.O_RDONLY)
    plain.erase_all_but("new")
    assert os.read(inode, 1000).strip(b"\0") == b""
    os.close(inode)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("left", [b"", b"\0" * 78], ids=["empty", "zeros"])
def test_a_key_whose_erasure_was_cut_short_prevents_no_opening(
    wrapping: Keyring, tmp_path: Path, left: bytes
) -> None:
    wrapping.save("log", SigningKey.generate())
    with open_private(tmp_path / "keys" / "0a0b0c0d.key") as key:
        key.write(left)
    wrapping.tidy()
    wrapping.erase_all_but("log")
    assert list(contents(tmp_path)) == ["log.key"]


@pytest.mark.parametrize("form", [lambda key: key, lambda key: base64.b64encode(key) + b"\n"])
def test_a_wrapping_key_is_32_bytes_or_their_base64(tmp_path: Path, form: Callable[..., Any]) -> None:
    (tmp_path / "wrap").write_bytes(form(WRAPPING))
    settings = options(tmp_path, wrapping_key=Secret(file=tmp_path / "wrap"))
    Keyring(tmp_path).create()
    keyring_of(settings).save("log", SigningKey.generate())
    assert Keyring(tmp_path, wrapping_key=WRAPPING).load("log")


@pytest.mark.parametrize("content", [b"too short", None])
def test_a_wrapping_key_that_is_none_is_refused_with_a_hint(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "wrap").write_bytes(content)
    with pytest.raises(ConfigurationError, match="wrap"):
        keyring_of(options(tmp_path, wrapping_key=Secret(file=tmp_path / "wrap")))


def test_a_wrapping_key_comes_from_a_systemd_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linewitness.wrap").write_bytes(WRAPPING)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    settings = options(tmp_path, wrapping_key=Secret(credential="linewitness.wrap"))
    Keyring(tmp_path).create()
    key = SigningKey.generate()
    keyring_of(settings).save("log", key)
    assert bytes(Keyring(tmp_path, wrapping_key=WRAPPING).load("log")) == bytes(key)


async def test_a_journal_with_plain_keys_goes_on_with_wrapped_ones(
    tmp_path: Path, clock: ManualClock
) -> None:
    directory = tmp_path / "journal"
    create(directory, clock)
    (tmp_path / "wrap").write_bytes(WRAPPING)
    async with running(directory, clock, wrapping_key=Secret(file=tmp_path / "wrap")) as journal:
        await journal.submit_all(Submission(rotate=True))
    assert all(b"wrapped" in data for data in contents(directory).values())
    assert verdict_of(directory).status == "INTACT"
    with pytest.raises(ConfigurationError, match="is wrapped"):
        reopen(directory, clock)


def test_a_new_stream_can_begin_with_wrapped_keys(tmp_path: Path, clock: ManualClock) -> None:
    keyring = Keyring(tmp_path / "journal", wrapping_key=WRAPPING)
    arguments = {"clock": clock, "clock_state": SharedClockState(), "keyring": keyring}
    JournalFile.create(tmp_path / "journal", IDENTITY, **cast(Any, arguments)).close()
    assert all(b"wrapped" in data for data in contents(tmp_path / "journal").values())
    assert keyring.load(LOG_KEY)
    assert len(members_of(tmp_path / "journal")) == 1


def test_a_folder_that_cannot_be_read_is_an_error_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = Keyring(tmp_path)
    keyring.create()

    def unreadable(path: object) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(os, "scandir", unreadable)
    with pytest.raises(JournalError, match="Input/output error"):
        keyring.tidy()
