"""A configuration as single settings, and what of it a running line can take over."""

from collections.abc import Iterable
from typing import Any, Final

from linewitness.config.models import Config

Setting = str | int | bool | None

#: Sections that a running line can take over; the others need a restart.
RELOADABLE: Final = frozenset({"devices", "lists", "stations", "units"})
#: Settings of the journal that a running line can take over: how much room it has, and what gives way.
RELOADABLE_OF_JOURNAL: Final = (
    *("max_size", "min_free", "telemetry_size"),
    *("prune", "prune_reserve", "prune_requires", "keep_days"),
)


def settings_of(config: Config) -> dict[str, Setting]:
    """Return every setting by its path, such as `devices.press-4.points.force.unit`.

    Members of lists are named by their id where they have one. Of secrets only where they are kept.
    """
    settings: dict[str, Setting] = {}
    _flatten(config.model_dump(mode="json").items(), "", settings)
    return settings


def needing_restart(old: Config, new: Config) -> list[str]:
    """Return the sections that differ and that a running line cannot take over."""
    limits = {name: getattr(new.journal, name) for name in RELOADABLE_OF_JOURNAL}
    old = old.model_copy(update={"journal": old.journal.model_copy(update=limits)})
    fixed = (name for name in Config.model_fields if name not in RELOADABLE)
    return [name for name in fixed if getattr(old, name) != getattr(new, name)]


def _flatten(members: Iterable[tuple[Any, Any]], prefix: str, settings: dict[str, Setting]) -> None:
    """Add the settings of a mapping or a list; there can be a million of them."""
    for name, value in members:
        if isinstance(value, dict):
            _flatten(value.items(), f"{prefix}{name}.", settings)
        elif isinstance(value, list):
            named = (
                ((isinstance(member, dict) and member.get("id")) or position, member)
                for position, member in enumerate(value)
            )
            _flatten(named, f"{prefix}{name}.", settings)
        elif isinstance(value, float):
            settings[f"{prefix}{name}"] = f"{value:g}"
        else:
            settings[f"{prefix}{name}"] = value
