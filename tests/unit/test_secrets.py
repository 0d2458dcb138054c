"""Secrets by reference: read when needed, and never part of an error."""

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from linewitness.base.errors import ConfigurationError
from linewitness.base.secrets import Secret
from support.lines import call

WORD = "correct-horse"


def test_a_line_end_is_not_part_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(WORD + "\r\n")
    assert Secret(file=tmp_path / "s").read() == WORD


def test_what_is_no_text_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"\xff" + WORD.encode())
    with pytest.raises(ConfigurationError, match="is not text") as refused:
        Secret(file=tmp_path / "s").read()
    assert WORD not in "".join(traceback.format_exception(refused.value))


def test_a_secret_is_shown_as_its_place_only(tmp_path: Path) -> None:
    (tmp_path / "s").write_text(WORD)
    secret = Secret(file=tmp_path / "s")
    secret.read()
    assert WORD not in repr(secret) + str(secret) + secret.model_dump_json()


def test_a_credential_needs_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError, match="is not there"):
        Secret(credential="mqtt").read()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt").write_text(WORD)
    assert Secret(credential="mqtt").read() == WORD


@pytest.mark.heavy
def test_a_crash_leaves_no_memory_behind() -> None:
    """The kernel says itself that it would write no dump, whatever `core_pattern` is."""
    code = (
        "import ctypes, resource\n"
        "from linewitness.base.secrets import keep_memory_private\n"
        "resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
        "keep_memory_private()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:2] == ["1", "0 (0, 0)"]


@pytest.mark.parametrize("command", [("run", "line.yaml"), ("store", "run", "store.yaml")])
def test_a_process_that_holds_keys_sees_to_it_before_it_reads_them(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    monkeypatch.setattr("linewitness.base.secrets.keep_memory_private", lambda: done.append(command))
    assert isinstance(call(*command).exception, ConfigurationError)
    assert done == [command]
