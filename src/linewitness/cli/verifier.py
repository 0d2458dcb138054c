"""`linewitness verifier`: write the page that verifies packages in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from linewitness.base.errors import ConfigurationError

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write; without it, only the page's SHA-256 is printed."),
]


def verifier(*, output: Output = None) -> None:
    """Write verify.html, the verifier that runs in a browser without a network, and print its SHA-256.

    Compare the SHA-256 with the published one: a page from a package proves nothing about that package.
    """
    import hashlib

    from linewitness.evidence.package.build import verifier_page

    page = verifier_page()
    if output is not None:
        try:
            with output.open("xb") as file:
                file.write(page)
        except FileExistsError:
            raise ConfigurationError(f"{output} exists", hint="name a file that does not exist yet") from None
        except OSError as error:
            raise ConfigurationError(
                f"{output} cannot be written: {error.strerror}", hint="check the folder and its permissions"
            ) from None
    typer.echo(f"{hashlib.sha256(page).hexdigest()}  {output or 'verify.html'}")
