"""`probe` and `browse` of a secured server before there is a YAML, as an integrator at a terminal does it."""

import asyncio
import contextlib
import fcntl
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from typer.testing import CliRunner, Result

from linewitness.base.errors import ConfigurationError, LinewitnessError
from linewitness.cli import app
from linewitness.devices.opcua.connection.certificates import load_certificate
from linewitness_simulators.press.server import PressSimulation, RunningPress, serve
from support.opcua_rig import client_files
from support.waiting import until

WORDS = "Basic256Sha256/SignAndEncrypt"
LINE = """\
version: 1
line: {tenant: acme, plant: ber-01, line: cell-1, gateway: gw-1, origin: acme.example/ber-01/cell-1/1}
journal: {directory: journal}
devices:
  - id: press-4
    driver: opcua
    endpoint: %s
"""
#: A machine that runs other things takes its time for a process.
PATIENCE_S = 50


def file(name: str) -> Path:
    """Return a file of the folder in which the test stands."""
    return Path(name)


@pytest.fixture
async def press(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningPress]:
    """A press that lets nobody in but anna, over an encrypted channel; we stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    file("certs").mkdir()
    client_files(tmp_path / "certs")
    secret = file("password")
    secret.touch(mode=0o600)
    secret.write_text("secret\n")
    simulation = PressSimulation(tick_s=0, certificates=tmp_path / "press", users={"anna": "secret"})
    async with serve(simulation) as running:
        yield running


def secured(command: str, press: RunningPress, *more: str) -> list[str]:
    return [command, press.url, "--security", WORDS, "--certificate", "certs/gateway.der", *more]


ANNA = ("--user", "anna", "--password-file", "password")


async def linewitness(*arguments: Any) -> Result:
    """Run a command without a terminal; the server lives in this loop, so the command gets a thread."""
    return await asyncio.to_thread(CliRunner().invoke, app, [str(each) for each in arguments])


async def refusal(*arguments: Any) -> LinewitnessError:
    done = await linewitness(*arguments)
    assert isinstance(done.exception, LinewitnessError), done.output
    return done.exception


class Terminal:
    """A terminal without a person: what it shows, and what is typed on it."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self._shown = b""

    @property
    def screen(self) -> str:
        try:
            while more := os.read(self._ours, 4096):
                self._shown += more
        except OSError:  # nothing more at the moment, or the other end was closed
            pass
        return self._shown.decode(errors="replace")

    async def answer(self, question: str, line: str) -> None:
        """Wait until a question is asked, and type the answer."""

        def asked() -> bool:
            return question in self.screen

        await until(asked, lambda: f"the question {question!r}: {self.screen}", timeout_s=PATIENCE_S)
        os.write(self._ours, f"{line}\n".encode())

    def close(self) -> None:
        os.close(self._ours)


async def at_terminal(arguments: list[str], answers: dict[str, str]) -> tuple[int, str, str]:
    """Run a command on a terminal of its own and answer what it asks; return its code, output and screen.

    What is typed before a question was asked to its last character is thrown away by the terminal.
    """
    terminal = Terminal()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(terminal.theirs, termios.TIOCSCTTY, 0)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "linewitness", *arguments),
        stdin=terminal.theirs,
        stderr=terminal.theirs,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=take_terminal,
    )
    os.close(terminal.theirs)
    try:
        for question, answer in answers.items():
            await terminal.answer(question, answer)
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
        return process.returncode or 0, out.decode(), terminal.screen
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        terminal.close()


async def test_a_terminal_is_asked_for_the_password_and_once_for_trust(press: RunningPress) -> None:
    shown = load_certificate(file("press/server.der"))
    code, out, screen = await at_terminal(
        secured("browse", press, "--user", "anna", "--filter", "holding"),
        {"Password of anna: ": "secret", "Trust it, and store it in certs/trusted?": "y"},
    )
    assert code == 0, screen
    assert "node: 'nsu=urn:linewitness:simulator:press;s=Press.Holding'" in out
    assert "secret" not in screen
    assert shown.fingerprint(SHA256()).hex() in screen
    assert "CN=Linewitness press" in screen
    assert f"{shown.not_valid_before_utc:%Y-%m-%d} to {shown.not_valid_after_utc:%Y-%m-%d}" in screen
    (stored,) = file("certs/trusted").iterdir()
    assert load_certificate(stored) == shown
    # The question was asked once: without a terminal the same server is known now.
    again = await linewitness(*secured("browse", press, *ANNA, "--filter", "holding"))
    assert again.exit_code == 0, again.output
    assert again.stdout == out


async def test_a_no_at_the_terminal_ends_the_command_and_stores_nothing(press: RunningPress) -> None:
    code, out, _ = await at_terminal(secured("probe", press, *ANNA), {"store it in certs/trusted?": "n"})
    assert code == 1
    assert "namespaces" not in out
    assert not file("certs/trusted").exists()


async def test_without_a_terminal_the_error_says_what_to_pass(press: RunningPress) -> None:
    error = await refusal(*secured("probe", press, *ANNA))
    assert "there is no terminal to ask" in error.what
    assert load_certificate(file("press/server.der")).fingerprint(SHA256()).hex() in error.what
    said, _, path = error.hint.rpartition(" ")
    assert said.endswith("pass --server-certificate")
    done = await linewitness(*secured("probe", press, *ANNA, "--server-certificate", path))
    assert done.exit_code == 0, done.output
    assert f"  {WORDS}, users " in done.stdout
    assert "product: " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--security", "Basic256Sha256"), "pass --certificate and --key; `linewitness keys opcua`"),
        (
            ("--security", "Basic128Rsa15", "--certificate", "certs/gateway.der"),
            "Basic256Sha256/SignAndEncrypt",
        ),
        (
            ("--security", f"{WORDS}/x", "--certificate", "certs/gateway.der"),
            "as `linewitness probe` lists it",
        ),
        (("--certificate", "certs/gateway.der"), "of no use without security"),
        (("--security", WORDS, "--certificate", "password"), "pass it with --key"),
        (("--user", "anna"), "pass --password-file"),
        (("--password-file", "password"), "pass --user as well"),
        (("--user", "anna", "--password-file", "open"), "a secret is not secret"),
    ],
)
async def test_what_is_missing_is_said(press: RunningPress, arguments: tuple[str, ...], words: str) -> None:
    file("open").write_text("secret")
    file("open").chmod(0o644)
    assert words in str(await refusal("browse", press.url, *arguments))


async def test_other_devices_have_no_security_on_the_command_line() -> None:
    assert "Modbus" in str(await refusal("probe", "modbus://127.0.0.1:1", "--security", WORDS))


@pytest.mark.parametrize("points", ["", "    points:\n", "    points: []\n"])
async def test_a_yaml_without_points_is_enough_and_takes_what_browse_prints(
    press: RunningPress, points: str
) -> None:
    user = "    user: {name: anna, password: {file: password}}\n"
    security = (
        "    security:\n      policy: basic256sha256\n      certificate: certs/gateway.der\n"
        "      key: {file: certs/gateway.pem}\n      server_certificate: press/server.der\n"
    )
    line = file("line.yaml")
    line.write_text(LINE % press.url + user + security + points)
    probed = await linewitness("probe", line, "press-4", "--node", "ns=2;s=Press.Holding")
    assert "ns=2;s=Press.Holding = 125" in probed.stdout, probed.output
    browsed = await linewitness("browse", line, "press-4", "--filter", "press/")
    assert browsed.exit_code == 0, browsed.output
    line.write_text(line.read_text().replace("    points: []\n", "") + browsed.stdout)
    checked = await linewitness("check", line)
    assert checked.exit_code == 0, checked.output
    # What is pasted below points that are there already fits as well, with names of its own.
    more = await linewitness("browse", line, "press-4", "--filter", "holding")
    line.write_text(line.read_text() + more.stdout)
    checked = await linewitness("check", line)
    assert checked.exit_code == 0, checked.output
    assert "id: press.holding-2" in more.stdout


async def test_what_browse_prints_of_an_address_pastes_into_the_sample(press: RunningPress) -> None:
    pinned = ("--server-certificate", "press/server.der")
    browsed = await linewitness(*secured("browse", press, *ANNA, *pinned))
    assert browsed.exit_code == 0, browsed.output
    line = file("line.yaml")
    line.write_text(LINE % press.url + browsed.stdout)
    checked = await linewitness("check", line)
    assert checked.exit_code == 0, checked.output


async def test_a_start_without_points_is_still_refused(press: RunningPress) -> None:
    line = file("line.yaml")
    line.write_text(LINE % press.url)
    assert "give points" in (await linewitness("check", line)).output


async def test_a_yaml_and_options_contradict_each_other(press: RunningPress) -> None:
    line = file("line.yaml")
    line.write_text(LINE % press.url)
    error = await refusal("browse", line, "press-4", "--security", WORDS)
    assert isinstance(error, ConfigurationError)
    assert "leave --security" in error.hint
