"""Which files a configuration names that are not there (yet)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from linewitness.config.models import Config

#: Settings of folders that the program makes itself.
_MADE_BY_US: Final = frozenset({"directory", "rejected"})


def missing_files(config: Config) -> list[str]:
    """Return a line for each secret, key or certificate whose file is not there."""
    return [
        f"{path}: the file {file} is not there (create it, or correct the path)"
        for path, file in _paths(config, "")
        if not file.exists()
    ]


def _paths(value: Any, path: str) -> Iterator[tuple[str, Path]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name not in _MADE_BY_US:
                yield from _paths(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            own = getattr(item, "id", None)
            yield from _paths(item, f"{path}.{own}" if own else f"{path}[{index}]")
    elif isinstance(value, Path):
        yield path, value
