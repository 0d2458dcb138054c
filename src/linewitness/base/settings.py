"""What all settings share: frozen models without unknown keys, names, paths, and how they contradict."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

#: Names of lines, stations, devices and points: they appear in topics, file names and records.
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]

_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_NAME: Final = 253
_WITH_PORT: Final = re.compile(r"(?P<host>[^:/\[\]]+|\[[^\[\]]+\]):(?P<port>[0-9]*)")
_HOME: Final = re.compile(r"~[^/]*(/|$)")


def check_host(text: str) -> str:
    """Return `text` if it may be the address or the name of a machine; ValueError says why it is none."""
    if "://" in text or "/" in text:
        raise ValueError(f"{text!r} is not a host alone: write only the address or name, such as 10.0.0.5")
    if (found := _WITH_PORT.fullmatch(text)) is not None:
        port = f" and port: {found['port']}" if found["port"] else ""
        raise ValueError(f"{text!r} has a port in it: write host: {found['host'].strip('[]')}{port}")
    if text.startswith("["):
        raise ValueError(f"{text!r} is in brackets: write host: {text.strip('[]')}")
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        _check_address(text)
    else:
        _check_name(text)
    return text


def check_authority(url: SplitResult) -> None:
    """Raise ValueError if the host or the port of an address cannot be meant."""
    try:
        port = url.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port is between 1 and 65535")
    check_host(url.hostname or "")


def check_own_address(text: str) -> str:
    """Return `text` if this machine may listen on it; ValueError says why it may not."""
    return text if text in {"0.0.0.0", "::"} else check_host(text)


def _check_address(text: str) -> None:
    try:
        address = ip_address(text)
    except ValueError:
        numbers = (
            "an IPv4 address has four numbers from 0 to 255" if ":" not in text else "it looks like fe80::1"
        )
        raise ValueError(f"{text!r} is no address: {numbers}") from None
    if address.is_unspecified:
        raise ValueError(f"{text} is no machine's address: write 127.0.0.1 for this machine")
    if address.is_multicast or text == "255.255.255.255":
        raise ValueError(f"{text} is the address of many machines: write that of the one that is meant")


def _check_name(text: str) -> None:
    """Names have parts of letters, digits, '-' and '_'; those of other scripts are looked up as IDNA."""
    try:
        name = text.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    labels = name.removesuffix(".").split(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"{text!r} is no host: an address such as 10.0.0.5, or a name of letters, digits, '-' and dots"
        )


def is_in_home(path: Path) -> bool:
    """Return whether a path begins with a home folder in a shell's words, `~/` or `~me/`."""
    return bool(_HOME.match(str(path)))


def check_path(path: Path) -> Path:
    """Return `path`, which does not begin with a home folder in a shell's words."""
    if is_in_home(path):
        raise ValueError(
            f"{str(path)!r}: '~' is not replaced by a home folder here: write the whole path, such as "
            f"/home/me/{str(path).partition('/')[2]}"
        )
    return path


#: The address or name of a machine, without a port.
Host = Annotated[str, AfterValidator(check_host)]
#: An address of this machine on which it listens.
OwnAddress = Annotated[str, AfterValidator(check_own_address)]
#: A file or folder, seen from the YAML's folder.
FilePath = Annotated[Path, AfterValidator(check_path)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What is allowed and is likely a mistake.

    `at` leads from the model that says so to the setting to show, by names and positions in lists. Of the
    doubts of one `group` that a model has, the first is told, with the number of the others.
    """

    what: str
    hint: str
    at: tuple[str | int, ...] = ()
    group: str = ""


class Options(BaseModel):
    """Settings that never change while they are in use."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    def doubts(self) -> Iterable[Doubt]:
        """Return what is allowed here and likely a mistake, without groups below: `check` warns of it."""
        return ()


class Mistake(StrEnum):
    """What is found both by a model and by the checks of the whole file, so that it is reported once."""

    USED_TWICE = "used-twice"
    NOT_AT_STATION = "not-at-station"


class SettingsError(ValueError):
    """Settings that are right one by one contradict each other.

    `at` leads from the model that says so to the setting to show, such as `("points", "force")`; entries of
    a list are named by their id. `subjects` are the names that the `mistake` is about.
    """

    def __init__(
        self,
        what: str,
        *,
        at: tuple[str, ...] = (),
        mistake: Mistake | None = None,
        subjects: tuple[str, ...] = (),
    ) -> None:
        """Keep what is wrong apart from where."""
        super().__init__(f"{'.'.join(at)}: {what}" if at else what)
        self.what = what
        self.at = at
        self.mistake = mistake
        self.subjects = subjects


def resolve(path: Path, base: Path) -> Path:
    """Return `path` as the YAML's author meant it: relative to the YAML's own folder."""
    return path if path.is_absolute() else base / path
