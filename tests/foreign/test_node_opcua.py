"""A gateway in front of node-opcua, the OPC UA library in JavaScript."""

import base64
from functools import partial
from pathlib import Path

from support.foreign_line import foreign_line
from support.node_opcua import foreign, node_opcua
from support.opcua_rig import client_files
from support.waiting import until_answer

DEVICE = """\
  - id: press-4
    driver: opcua
    endpoint: {url}
    security:
      policy: basic256sha256
      mode: sign_and_encrypt
      certificate: gateway.der
      key: {{file: gateway.pem}}
      server_certificate: server.der
    user: {{name: anna, password: {{file: password}}}}
    publishing_ms: 100
    points:
      - {{id: holding, node: nsu=urn:foreign:press;s=Press.Holding, record: change, unit: bar, high: 150}}
      - {{id: recipe, node: nsu=urn:foreign:press;s=Press.Recipe, record: change}}
      - id: stroke
        node: nsu=urn:foreign:press;s=Press.Count
        record: result
        result:
          identifier: nsu=urn:foreign:press;s=Press.Serial
          fields:
            - {{id: heat, node: nsu=urn:foreign:press;s=Press.Temperature, unit: °C, low: 10, high: 70}}
          handshake: {{node: nsu=urn:foreign:press;s=Press.Ack, value: trigger}}
"""


async def test_whole_way_with_node_opcua(tmp_path: Path) -> None:
    """Signed and encrypted, with a user; one of its values is a structure."""
    client_files(tmp_path)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    async with foreign(node_opcua(), tmp_path) as press:
        (tmp_path / "server.der").write_bytes(base64.b64decode(await press.ask(certificate=True)))
        async with foreign_line(tmp_path, DEVICE.format(url=press.url)) as line:
            await line.change("holding", "125")
            await press.set("Holding", 151.5)
            changed = await line.change("holding", "151.5")
            assert (changed["before"], changed["unit"], changed["status"]) == ("125", "bar", "high")
            await press.ask(recipe="bush", high=3.3)
            force = await line.change("recipe.Force.High", "3.3")
            assert force["before"] == "2.5"
            await press.set("Temperature", 42.5)
            await press.set("Count", 1)
            result = await line.record("measurement.result", heat="42.5", result="ok")
            assert result["resource"]["parent"] == {"type": "unit", "id": "SN-1"}
            await until_answer(partial(press.ask, get="Ack"), 1)
            await line.check()
