"""`linewitness install` and `uninstall`: a line as a service of this machine, and off it again."""

from pathlib import Path
from typing import Annotated, Any

import typer

Root = Annotated[Path, typer.Option(help="Folder that stands for /, to look at the result first.")]


def install(
    file: Annotated[
        Path | None, typer.Argument(help="The line's YAML; without it, an example is installed.")
    ] = None,
    *,
    store: Annotated[bool, typer.Option("--store", help="The YAML is an audit store's.")] = False,
    root: Root = Path("/"),
) -> None:
    """Put a line on this machine: unit, folders, YAML and credentials. Nothing is started."""
    from linewitness.config import load
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
        )
    for line in place.changes:
        typer.echo(line)
    if place.real:
        _systemctl("daemon-reload")
    typer.echo("\nWhat is left to do:\n")
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
    from linewitness.cli.store_file import load_store

    return load_store(file).model_dump(mode="json")


def uninstall(
    line: Annotated[str, typer.Argument(help="The line's name, such as line-02.", show_default=False)],
    *,
    root: Root = Path("/"),
) -> None:
    """Take a line's service off this machine. Evidence, keys and the YAML stay."""
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
        typer.echo("systemd is not running here: its units were written, and nothing was told to it")
        return
    subprocess.run([program, *arguments], check=False)  # noqa: S603 (our own words only)
