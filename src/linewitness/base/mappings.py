"""The mapping without members: the default where nothing is given."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

EMPTY: Final[Mapping[Any, Any]] = MappingProxyType({})
