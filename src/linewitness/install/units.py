"""Install the hardened units, one line's YAML and its credentials; take them off without the evidence."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from linewitness.base.errors import ConfigurationError
from linewitness.base.mappings import EMPTY
from linewitness.install.files import InstallRoot

LINE_UNIT: Final = "linewitness@.service"
STORE_UNIT: Final = "linewitness-store.service"
UNITS: Final = "/etc/systemd/system"
LINES: Final = "/etc/linewitness"
STORE: Final = "/etc/linewitness-store"
EVIDENCE: Final = "/var/lib/linewitness"
STORE_DATA: Final = "/var/lib/linewitness-store"
_PROGRAM: Final = "/opt/linewitness/bin/linewitness"
#: Folders that the units hide from the program (ProtectHome=, PrivateTmp=).
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (named to be refused)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")


def program() -> Path:
    """Return the command that the units start; ConfigurationError where they could not see it."""
    found = Path(sys.prefix) / "bin" / "linewitness"
    for path in (found, Path(sys.base_prefix)):
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN):
            raise ConfigurationError(
                f"the service could not see {path}",
                hint="install into /opt: python3 -m venv /opt/linewitness, then "
                "/opt/linewitness/bin/pip install 'linewitness[status]'",
            )
    return found


def install_line(
    place: InstallRoot,
    name: str,
    text: str,
    *,
    journal: Path,
    settings: Mapping[str, Any],
    command: Path,
    tables: Mapping[Path, str] = EMPTY,
) -> list[str]:
    """Install a line under a name; returns what is left to do, a command each.

    `text` is its YAML, `journal` and `settings` what it says.
    `tables` are the tables of points that it names, by the path that it writes.
    """
    _check_name(name)
    wanted = Path(EVIDENCE) / name
    if journal != wanted:
        raise ConfigurationError(
            f"the service of {name} may write {wanted} only, and the YAML says {journal}",
            hint=f"write journal: {{directory: {wanted}}}",
        )
    _check_secrets(settings, wanted)
    _check_tables(tables)
    place.folder(LINES, 0o755)
    for table, rows in tables.items():
        if not table.is_absolute():
            place.write(f"{LINES}/{table}", rows, ours=False)
    place.write(f"{LINES}/{name}.yaml", text, ours=False)
    _write_unit(place, LINE_UNIT, command)
    credentials = sorted(set(_named(settings, "credential")))
    _write_credentials(place, f"{UNITS}/linewitness@{name}.service.d", f"{LINES}/secrets", credentials)
    return [
        *(f"put the secret into {place.at(LINES)}/secrets/{each}, mode 0600" for each in credentials),
        f"{_reading(credentials, place.at(LINES))}linewitness init {place.at(LINES)}/{name}.yaml",
        f"systemctl enable --now linewitness@{name}.service",
    ]


def install_store(place: InstallRoot, text: str, *, settings: Mapping[str, Any], command: Path) -> list[str]:
    """Install the audit store; returns what is left to do."""
    _check_secrets(settings, Path(STORE_DATA))
    place.folder(STORE, 0o755)
    place.write(f"{STORE}/store.yaml", text, ours=False)
    _write_unit(place, STORE_UNIT, command)
    credentials = sorted(set(_named(settings, "credential")))
    _write_credentials(place, f"{UNITS}/{STORE_UNIT}.d", f"{STORE}/secrets", credentials)
    return [
        *(f"put the secret into {place.at(STORE)}/secrets/{each}, mode 0600" for each in credentials),
        f"{_reading(credentials, place.at(STORE))}linewitness store init {place.at(STORE)}/store.yaml",
        f"systemctl enable --now {STORE_UNIT}",
    ]


def install_example(place: InstallRoot, *, command: Path) -> list[str]:
    """Install the unit and a YAML to begin with."""
    place.folder(LINES, 0o755)
    text = resources.files("linewitness.install").joinpath("example.yaml").read_text(encoding="utf-8")
    place.write(f"{LINES}/example.yaml", text, ours=True)
    _write_unit(place, LINE_UNIT, command)
    return [
        f"copy {place.at(LINES)}/example.yaml, change it, and install it: linewitness install line-02.yaml"
    ]


def uninstall_line(place: InstallRoot, name: str) -> list[str]:
    """Take a line's service away; returns what stays and where: evidence, keys, YAML and secrets."""
    _check_name(name)
    place.remove(f"{UNITS}/linewitness@{name}.service.d/credentials.conf")
    others = [
        file.stem for file in place.at(LINES).glob("*.yaml") if file.stem not in (name, "example")
    ]  # a line that was uninstalled before keeps its YAML, and with it the unit
    if not others:
        place.remove(f"{UNITS}/{LINE_UNIT}")
    stays = (
        f"{EVIDENCE}/{name}",
        f"/var/lib/private/linewitness/{name}",
        f"{LINES}/{name}.yaml",
        f"{LINES}/secrets",
    )
    return [str(place.at(path)) for path in stays if place.at(path).exists()]


def _reading(credentials: list[str], folder: Path) -> str:
    """Return how a command by hand finds what systemd hands over to the service."""
    return f"CREDENTIALS_DIRECTORY={folder}/secrets " if credentials else ""


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a service",
            hint="name the YAML after the line, such as line-02.yaml: letters, digits, '-', '_' and '.'",
        )


def _check_secrets(settings: Mapping[str, Any], own: Path) -> None:
    """Refuse secrets that the service could not read; what lies in its own folder becomes its own."""
    for file in _secret_files(settings):
        if Path(file).is_relative_to(own):
            continue
        raise ConfigurationError(
            f"the service runs as a user of its own, which cannot read the secret {file}",
            hint="write {credential: NAME} instead of {file: …}; systemd hands it over",
        )


def _check_tables(tables: Iterable[Path]) -> None:
    """Refuse tables of points that the service could not find or see."""
    for table in tables:
        if not table.is_absolute() and ".." in table.parts:
            what = f"the table {table} lies outside the folder of the YAML, which becomes {LINES}"
            raise ConfigurationError(what, hint="put it beside the YAML, or write an absolute path")
        if any(table.is_relative_to(hidden) for hidden in _HIDDEN):
            what = f"the service could not see the table of points {table}"
            raise ConfigurationError(what, hint="put it beside the YAML: it is installed with it")


def _secret_files(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if set(value) == {"file", "credential"} and value["file"] is not None:
            yield str(value["file"])
        for inner in value.values():
            yield from _secret_files(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secret_files(inner)


def _named(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == name and isinstance(inner, str):
                yield inner
            else:
                yield from _named(inner, name)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _named(inner, name)


def _write_unit(place: InstallRoot, unit: str, command: Path) -> None:
    text = _unit_text(unit).replace(f"ExecStart={_PROGRAM} ", f"ExecStart={command} ")
    place.write(f"{UNITS}/{unit}", text, ours=True)


def _unit_text(unit: str) -> str:
    folder = resources.files("linewitness.install").joinpath("systemd")
    return folder.joinpath(unit).read_text(encoding="utf-8")


def _write_credentials(place: InstallRoot, dropin: str, secrets: str, names: Iterable[str]) -> None:
    lines = [f"LoadCredential={name}:{secrets}/{name}" for name in names]
    if not lines:
        return
    place.folder(secrets, 0o700)
    text = "# Written by `linewitness install`: the secrets that the YAML names.\n[Service]\n"
    place.write(f"{dropin}/credentials.conf", text + "\n".join(lines) + "\n", ours=True)
