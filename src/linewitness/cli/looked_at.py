"""Which device `probe` and `browse` look at: from a YAML, or from an address and options."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from linewitness.base.errors import ConfigurationError
from linewitness.base.secrets import Secret, TypedSecret, refuse_exposed
from linewitness.config import load, points_place
from linewitness.config.files import secret_files
from linewitness.devices.spec import Access, DriverSpec, DriverUnusable, PointsPlace, ProbeAddress
from linewitness.devices.table import known, usable

_TARGET = re.compile(r"(?P<scheme>[a-z.+-]+)://(?P<host>\[[^\]]+\]|[^/:]+)(:(?P<port>\d+))?(?P<rest>/.*)?")


@dataclass(frozen=True, slots=True)
class LookedAt:
    """A device, how it is reached, and where points of it belong in its YAML."""

    spec: DriverSpec
    options: Any
    place: PointsPlace


def access(
    *,
    security: str,
    user: str,
    password_file: Path | None,
    certificate: Path | None,
    key: Path | None,
    server_certificate: Path | None,
    trusted: Path | None,
) -> Access:
    """Return what the command line says of the way to a device; the password is asked for here."""
    if password_file is not None and not user:
        raise ConfigurationError("--password-file is of no use without a user", hint="pass --user as well")
    password: Secret | None = None
    if user:
        password = Secret(file=password_file) if password_file else _typed(user)
    return Access(
        security=security,
        user=user,
        password=password,
        certificate=certificate,
        key=key,
        server_certificate=server_certificate,
        trusted=trusted,
    )


def confirmation() -> Callable[[str], None] | None:
    """Return what asks on the terminal and ends the command after a no; None without a terminal."""
    return _confirm if sys.stdin.isatty() else None


def looked_at(target: str, device: str | None, *, unit: int, access: Access) -> LookedAt:
    """Return the device that is meant; ConfigurationError where that is not clear."""
    match = _TARGET.fullmatch(target)
    if match is None:
        return _in_yaml(Path(target), device, access)
    spec = _driver_of(match["scheme"])
    host, port = match["host"].strip("[]"), match["port"]
    address = ProbeAddress(url=target, host=host, port=int(port) if port else None, unit=unit, access=access)
    options = spec.probe_options(address)
    refuse_exposed(secret_files(options))
    return LookedAt(spec, options, PointsPlace())


def _in_yaml(path: Path, device: str | None, access: Access) -> LookedAt:
    if access.given:
        raise ConfigurationError(
            f"{path} says how {device} is reached, and the command line as well",
            hint="leave --security, --user and the certificates out, or correct the YAML",
        )
    config = load(path, without_points=True)
    for options in config.devices:
        if options.id == device:
            return LookedAt(known(options.driver), options, points_place(path, options))
    listed = ", ".join(options.id for options in config.devices)
    raise ConfigurationError(f"{path} has no device {device}", hint=f"it has {listed}")


def _driver_of(scheme: str) -> DriverSpec:
    drivers = [spec for spec in usable() if not isinstance(spec, DriverUnusable)]
    schemes = {spec.probe.scheme: spec for spec in drivers if spec.probe is not None}
    if scheme not in schemes:
        listed = [f"{each}://" for each in schemes]
        raise ConfigurationError(
            f"{scheme}:// is not a kind of device that can be probed",
            hint=f"use {', '.join(listed[:-1])} or {listed[-1]}",
        )
    return schemes[scheme]


def _typed(user: str) -> TypedSecret:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"there is no terminal to ask for the password of {user}",
            hint="pass --password-file with a file of mode 0600",
        )
    return TypedSecret(text=typer.prompt(f"Password of {user}", hide_input=True, err=True))


def _confirm(question: str) -> None:
    # The library's own question writes a space to standard output, which is the YAML to paste.
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Abort
