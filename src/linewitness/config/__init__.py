"""One YAML a line: read it, check it whole, and freeze it into a `Config`."""

from linewitness.config.loader import examine, examine_as, load, load_as
from linewitness.config.models import Config, LineOptions, LogOptions, StoreOptions
from linewitness.config.points_place import points_place
from linewitness.config.problems import ConfigurationErrors, ConfigurationProblem, SourcePosition
from linewitness.status.options import StatusOptions

__all__ = [
    "Config",
    "ConfigurationErrors",
    "ConfigurationProblem",
    "LineOptions",
    "LogOptions",
    "SourcePosition",
    "StatusOptions",
    "StoreOptions",
    "examine",
    "examine_as",
    "load",
    "load_as",
    "points_place",
]
