"""A configuration as single settings, and what of it a running line can take over."""

from collections.abc import Iterator
from typing import Any, Final

from linewitness.config.models import Config

Setting = str | int | bool | None

#: Sections that a running line can take over; the others need a restart.
RELOADABLE: Final = frozenset({"devices", "stations"})
#: Settings of the journal that a running line can take over: how much room it has, and what gives way.
RELOADABLE_OF_JOURNAL: Final = (
    *("max_size", "min_free", "telemetry_size"),
    *("prune", "prune_reserve", "prune_requires", "keep_days"),
)


def settings_of(config: Config) -> dict[str, Setting]:
    """Return every setting by its path, such as `devices.press-4.points.force.unit`.

    Members of lists are named by their id where they have one. Of secrets only where they are kept.
    """
    return dict(_flat(config.model_dump(mode="json"), ""))


def needing_restart(old: Config, new: Config) -> list[str]:
    """Return the sections that differ and that a running line cannot take over."""
    limits = {name: getattr(new.journal, name) for name in RELOADABLE_OF_JOURNAL}
    old = old.model_copy(update={"journal": old.journal.model_copy(update=limits)})
    fixed = (name for name in Config.model_fields if name not in RELOADABLE)
    return [name for name in fixed if getattr(old, name) != getattr(new, name)]


def _flat(value: Any, path: str) -> Iterator[tuple[str, Setting]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _flat(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for position, member in enumerate(value):
            name = member["id"] if isinstance(member, dict) and "id" in member else position
            yield from _flat(member, f"{path}.{name}")
    elif isinstance(value, float):
        yield path, f"{value:g}"
    else:
        yield path, value
