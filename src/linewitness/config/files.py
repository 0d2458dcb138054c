"""Which files a configuration names that are not there (yet), and which secrets others may read."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from linewitness.base.secrets import Secret
from linewitness.config.settings import holds
from linewitness.devices.options import DeviceOptions

#: Settings of folders that the program makes itself.
_MADE_BY_US: Final = frozenset({"directory", "rejected"})
#: A setting of this name is a private key, where it is a path.
_KEY: Final = "key"
#: What a group of settings holds if it may name files; devices' settings are known only by their values.
_NAMES_FILES: Final = (Path, Secret, DeviceOptions)


def missing_files(config: BaseModel) -> list[str]:
    """Return a line for each secret, key or certificate whose file is not there."""
    return [
        f"{path}: the file {file} is not there (create it, or correct the path)"
        for path, file in _paths(config, "")
        if not file.exists()
    ]


def secret_files(value: Any) -> Iterator[Path]:
    """Yield the file of each secret that settings name; a credential's only where systemd hands it over."""
    if isinstance(value, Secret):
        if value.file is not None or "CREDENTIALS_DIRECTORY" in os.environ:
            yield value.path
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields if holds(type(value), _NAMES_FILES) else ():
            inner = getattr(value, name)
            if name == _KEY and isinstance(inner, Path):
                yield inner
            else:
                yield from secret_files(inner)
    elif isinstance(value, tuple):
        for item in value:
            yield from secret_files(item)


def _paths(value: Any, path: str) -> Iterator[tuple[str, Path]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields if holds(type(value), _NAMES_FILES) else ():
            if name not in _MADE_BY_US:
                yield from _paths(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            own = getattr(item, "id", None)
            yield from _paths(item, f"{path}.{own}" if own else f"{path}[{index}]")
    elif isinstance(value, Path):
        yield path, value
