"""`linewitness install` and `uninstall`: add a line to this machine as a service, or remove it."""

from pathlib import Path
from typing import Annotated, Any

import typer

Root = Annotated[Path, typer.Option(help="Write below this folder instead of /, to inspect it first.")]


def install(
    file: Annotated[
        Path | None, typer.Argument(help="The line's YAML; without it, install an example.")
    ] = None,
    *,
    store: Annotated[
        bool, typer.Option("--store", help="Install an audit store: the YAML is the store's.")
    ] = False,
    root: Root = Path("/"),
) -> None:
    """Install a line as a service: unit, folders, YAML and credentials. Does not start it."""
    from linewitness.config import load
    from linewitness.config.expansion import table_texts
    from linewitness.install import units
    from linewitness.install.files import InstallRoot

    place = InstallRoot(root.absolute())
    command = units.program() if place.real else Path("/opt/linewitness/bin/linewitness")
    if file is None:
        left = units.install_example(place, command=command)
    elif store:
        left = units.install_store(
            place, file.read_text(encoding="utf-8"), settings=_store_settings(file), command=command
        )
    else:
        config = load(file)
        left = units.install_line(
            place,
            file.stem,
            file.read_text(encoding="utf-8"),
            journal=config.journal.directory,
            settings=config.model_dump(mode="json"),
            command=command,
            tables=table_texts(file),
        )
    for line in place.changes:
        typer.echo(line)
    if place.real:
        _systemctl("daemon-reload")
    typer.echo("\nRemaining steps:\n")
    for line in left:
        typer.echo(f"  {line}")


def _store_settings(file: Path) -> dict[str, Any]:
    from importlib.util import find_spec

    from linewitness.base.errors import ConfigurationError

    if find_spec("sqlalchemy") is None:
        raise ConfigurationError(
            "the audit store needs SQLAlchemy",
            hint="install it into the same place: /opt/linewitness/bin/pip install 'linewitness[store]'",
        )
    from linewitness.cli.sources import load_store

    return load_store(file).model_dump(mode="json")


def uninstall(
    line: Annotated[str, typer.Argument(help="The line's name, for example line-02.", show_default=False)],
    *,
    root: Root = Path("/"),
) -> None:
    """Remove a line's service. Keeps the journal, the keys, the secrets and the YAML."""
    from linewitness.install import units
    from linewitness.install.files import InstallRoot

    place = InstallRoot(root.absolute())
    if place.real:
        _systemctl("disable", "--now", f"linewitness@{line}.service")
    stays = units.uninstall_line(place, line)
    if place.real:
        _systemctl("daemon-reload")
    for text in place.changes:
        typer.echo(text)
    for path in stays:
        typer.echo(f"stays    {path}")


def _systemctl(*arguments: str) -> None:
    import shutil
    import subprocess

    program = shutil.which("systemctl")
    if program is None or not Path("/run/systemd/system").is_dir():
        typer.echo("systemd is not running: the units were written, and systemd was not notified")
        return
    subprocess.run([program, *arguments], check=False)  # noqa: S603 (our own words only)
