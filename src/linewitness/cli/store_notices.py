"""`linewitness store notices`: what gateways said before their records came, and what came of it."""

import typer

from linewitness.base.errors import ExitCode
from linewitness.cli.sources import StoreFile, TenantName, store_database


def notices(file: StoreFile, *, tenant: TenantName = None) -> None:
    """Show notices of alarms: open, confirmed or contradicted. Exit code 1 if a record contradicts one."""
    from linewitness.store.ahead.reports import read_notice_refusals, read_notices

    with store_database(file) as database:
        found = read_notices(database, tenant=tenant)
        refused = [each for each in read_notice_refusals(database) if tenant in (None, each.tenant)]
    for notice in found:
        typer.echo(notice.text)
    for refusal in refused:
        typer.echo(refusal.text)
    if any(notice.state == "contradicted" for notice in found):
        raise typer.Exit(ExitCode.BROKEN)
    if not found:
        typer.echo("no notices")
