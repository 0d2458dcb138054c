"""An OPC UA server on open62541, a library in C: the wheel `o6` has it, with Python around it.

Arguments: a port, and a folder with `server.der`, `server.pem` and the gateway's `gateway.der`.
It prints its port, sets a value for each line "NAME VALUE", answers each line "NAME" with its value, and ends
with its stdin.
"""

import os
import sys
from pathlib import Path
from typing import Any

answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # the library writes a banner to stdout
sys.path.insert(0, str(Path(__file__).parent / ".packages"))
import o6  # noqa: E402 (the line before says where it is)
from o6.ns import ns0  # noqa: E402


class Anna(o6.AccessControl):  # type: ignore[misc] # the library is not there when types are checked
    """One user with a password."""

    def activateSession(  # noqa: N802 (the library's name)
        self, endpoint: object, certificate: bytes, session: object, token: Any
    ) -> str:
        """Let Anna in."""
        if (
            not isinstance(token, ns0.datatypes.UserNameIdentityToken)
            or str(token.userName) != "anna"
            or bytes(token.password) != b"secret"
        ):
            raise o6.StatusCodeError(o6.StatusCode.BAD_USER_ACCESS_DENIED)
        return "anna"


def main(port: int, folder: Path) -> None:
    """Serve until stdin ends."""
    server = o6.Server(
        port=port,
        certificate=folder / "server.der",
        privateKey=folder / "server.pem",
        trustList=[folder / "gateway.der"],
        secureOnly=True,
        applicationUri="urn:foreign:press",
        accessControl=Anna(anonymous=False, username=True),
    )
    with server:
        start = {
            "Holding": 125.0,
            "Serial": "SN-1",
            "Force": 41.5,
            "Count": o6.UInt32(0),
            "Ack": o6.UInt32(0),
        }
        variables = {
            name: server.addVariable(name, server.objectsNode, value, nodeId=f"ns=1;s=Press.{name}")
            for name, value in start.items()
        }
        print(port, file=answers)
        for line in sys.stdin:
            name, *value = line.split()
            variable = variables[name]
            if value:
                variable(type(start[name])(value[0]))
            else:
                print(variable(), file=answers)


main(int(sys.argv[1]), Path(sys.argv[2]))
