"""`linewitness check` and `linewitness schema`: validate a YAML, and print its JSON Schema."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from linewitness.base.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from linewitness.config import ConfigurationProblem

#: A YAML that has one of the first and none of the others is an audit store's.
_OF_STORES: Final = ("database", "mqtt", "quota", "tenants")
_OF_LINES: Final = ("version", "line", "journal", "devices", "stations", "uplink")


def check(
    file: Annotated[
        Path, typer.Argument(help="The YAML of a line, or of an audit store.", show_default=False)
    ],
    *,
    explain: Annotated[bool, typer.Option("--explain", help="Show what is read from each device.")] = False,
    files: Annotated[
        bool, typer.Option("--files", help="Treat a missing secret or certificate as an error.")
    ] = False,
) -> None:
    """Validate the YAML of a line, or of an audit store, and print every error with line and column."""
    from linewitness.base.secrets import exposure
    from linewitness.config import Config, ConfigurationErrors
    from linewitness.config.explain import explain_device
    from linewitness.config.files import missing_files, secret_files

    try:
        config, doubts, summary = _examined(file)
    except ConfigurationErrors as errors:
        typer.echo(str(errors), err=True)
        raise typer.Exit(ExitCode.CONFIGURATION) from None
    for doubt in doubts:
        typer.echo(f"{doubt.place.file or file}:{doubt.warning}", err=True)
    parts = _as_run(config)
    missing = list(dict.fromkeys(line for part in parts for line in missing_files(part)))
    for line in missing:
        typer.echo(f"{file}: {'' if files else 'warning: '}{line}", err=True)
    secrets = dict.fromkeys(secret for part in parts for secret in secret_files(part))
    exposed = [words for words in map(exposure, secrets) if words is not None]
    for line in exposed:
        typer.echo(f"{file}: {line}", err=True)
    if exposed or (missing and files):
        raise typer.Exit(ExitCode.CONFIGURATION)
    typer.echo(f"{file}: ok, {summary}")
    if explain and isinstance(config, Config):
        for device in config.devices:
            typer.echo(explain_device(device))


def _as_run(config: "BaseModel") -> "Sequence[BaseModel]":
    """Return the settings of each process: the workers of a store name files of their own."""
    from linewitness.config import Config

    if isinstance(config, Config):
        return [config]
    from linewitness.store.options import AuditStoreOptions

    if not isinstance(config, AuditStoreOptions) or config.workers == 1:
        return [config]
    return [config.of_worker(number) for number in range(config.workers)]


def _examined(file: Path) -> "tuple[BaseModel, list[ConfigurationProblem], str]":
    """Return the settings of a file, what is doubtful in it, and what it comes to in words."""
    from linewitness.base.clock import SystemClock
    from linewitness.config import ConfigurationErrors, examine, examine_as
    from linewitness.config.explain import summary
    from linewitness.config.lists.examine import examine_lists
    from linewitness.config.reading import read_file

    root = read_file(file)
    if not any(root.child(name) for name in _OF_STORES) or any(root.child(name) for name in _OF_LINES):
        config, doubts = examine(file)
        lists = examine_lists(config, now_ns=SystemClock().stamp().realtime_ns)
        if lists.problems:
            raise ConfigurationErrors(file, lists.problems)
        return config, [*doubts, *lists.doubts], summary(config) + lists.summary
    if find_spec("sqlalchemy") is None:
        raise ConfigurationError(
            "this is an audit store's YAML, and checking it needs SQLAlchemy",
            hint="install it with pip install 'linewitness[store]'",
        )
    from linewitness.store.options import AuditStoreOptions

    options, doubts = examine_as(file, AuditStoreOptions)
    return options, doubts, f"the audit store {options.name}"


def schema(
    *,
    tables: Annotated[
        bool, typer.Option("--tables", help="Print the tables of settings (Markdown) instead of the schema.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Write to this file; with --tables, replace only the generated part of it."),
    ] = None,
) -> None:
    """Print the JSON Schema of the YAML, for completion and validation in editors."""
    from linewitness.config.reference import json_schema_text, replace_generated, tables_text
    from linewitness.devices.spec import DriverSpec
    from linewitness.devices.table import usable

    specs: list[DriverSpec] = []
    for each in usable():
        if isinstance(each, DriverSpec):
            specs.append(each)
        else:
            typer.echo(f"warning: {each}", err=True)
    text = tables_text(specs) if tables else json_schema_text(specs)
    if output is None:
        typer.echo(text, nl=False)
    elif tables and output.exists():
        output.write_text(replace_generated(output.read_text(encoding="utf-8"), text), encoding="utf-8")
    else:
        output.write_text(text, encoding="utf-8")
