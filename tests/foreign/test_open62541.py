"""A gateway in front of open62541, the OPC UA library in C."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from foreign.tried_with import OPEN62541
from linewitness.demo.plant import free_port
from linewitness.devices.opcua.connection.certificates import make_client_certificate
from support.foreign_line import foreign_line
from support.foreign_servers import FOREIGN, ForeignServer, served
from support.lines import call, prepare
from support.opcua_rig import CLOCK, client_files
from support.pypi import installed
from support.waiting import until_answer

DEVICE = """\
  - id: press-4
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:{port}
    security:
      policy: aes256_sha256_rsapss
      mode: sign_and_encrypt
      certificate: gateway.der
      key: {{file: gateway.pem}}
      server_certificate: server.der
    user: {{name: anna, password: {{file: password}}}}
    publishing_ms: 100
    points:
      - {{id: holding, node: nsu=urn:foreign:press;s=Press.Holding, record: change, unit: bar, high: 150}}
      - id: stroke
        node: nsu=urn:foreign:press;s=Press.Count
        record: result
        result:
          identifier: nsu=urn:foreign:press;s=Press.Serial
          fields: [{{id: force, node: nsu=urn:foreign:press;s=Press.Force, unit: kN, low: 40, high: 55}}]
          handshake: {{node: nsu=urn:foreign:press;s=Press.Ack, value: trigger}}
"""


@asynccontextmanager
async def open62541(folder: Path) -> AsyncIterator[ForeignServer]:
    """Run the server, which admits only clients with security; the password is in a file beside it."""
    client_files(folder)
    make_client_certificate(
        certificate=folder / "server.der",
        key=folder / "server.pem",
        application_uri="urn:foreign:press",
        host="localhost",
        clock=CLOCK,
    )
    for name, password in {"password": "secret", "wrong": "guessed"}.items():
        (folder / name).write_text(f"{password}\n")
        (folder / name).chmod(0o600)
    installed(FOREIGN / "open62541")
    script = str(FOREIGN / "open62541" / "server.py")
    async with served(sys.executable, script, str(free_port()), str(folder)) as server:
        yield server


async def test_whole_way_with_open62541(tmp_path: Path) -> None:
    """Signed and encrypted, with a user."""
    async with (
        open62541(tmp_path) as press,
        foreign_line(tmp_path, DEVICE.format(port=press.port)) as line,
    ):
        await line.change("holding", "125")
        press.tell("Holding 151.5")
        changed = await line.change("holding", "151.5")
        assert (changed["before"], changed["unit"], changed["status"]) == ("125", "bar", "high")
        press.tell("Force 47.25")
        assert await press.ask("Force") == "47.25"
        press.tell("Count 1")
        result = await line.record("measurement.result", force="47.25", result="ok")
        assert result["resource"]["parent"] == {"type": "unit", "id": "SN-1"}
        await until_answer(partial(press.ask, "Ack"), "1")
        await line.check()


async def test_probe_of_a_server_that_lists_nothing_without_security(tmp_path: Path) -> None:
    async with open62541(tmp_path) as press:
        url = f"opc.tcp://127.0.0.1:{press.port}"
        refused = await asyncio.to_thread(call, "probe", url)
        assert "copy its certificate from it" in refused.exception.hint
        secured = (
            *("--security", "Aes256_Sha256_RsaPss/SignAndEncrypt"),
            *("--certificate", tmp_path / "gateway.der", "--server-certificate", tmp_path / "server.der"),
            *("--user", "anna", "--password-file"),
        )
        found = await prepare("probe", url, *secured, tmp_path / "password")
        assert "does not list what it offers" in found
        assert f"version: {OPEN62541}" in found
        wrong = await asyncio.to_thread(call, "probe", url, *secured, tmp_path / "wrong")
        assert wrong.exception.hint == "check user.name and the password file"
