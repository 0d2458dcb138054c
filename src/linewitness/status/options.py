"""What the YAML says of the status page: whether and where it is served."""

import re
from ipaddress import ip_address
from typing import Final

from pydantic import Field, field_validator

from linewitness.base.settings import Options

_LISTEN: Final = re.compile(r"(?P<host>[^\s:\[\]]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")
_MAX_PORT: Final = 65535


class StatusOptions(Options):
    """The read-only status page and the metrics."""

    enabled: bool = Field(default=True, description="Whether the page is served.")
    listen: str = Field(
        default="127.0.0.1:8460", description="Address and port of the page, on this machine only."
    )

    @field_validator("listen")
    @classmethod
    def _is_address(cls, text: str) -> str:
        match = _LISTEN.fullmatch(text)
        if not match or not 0 <= int(match["port"]) <= _MAX_PORT:
            raise ValueError("an address looks like 127.0.0.1:8460 or [::1]:8460")
        if not _is_loopback(match["host"].strip("[]")):
            raise ValueError(
                "the page has no login: only this machine may reach it, so use 127.0.0.1 or [::1]"
            )
        return text

    @property
    def host(self) -> str:
        """The address without its port."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The TCP port; 0 means any free one."""
        return int(self.listen.rpartition(":")[2])


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
