"""Text as every kind of database can keep it."""

from typing import Any, Final

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

#: What stands for U+0000 where a database cannot keep that: the symbol that Unicode has for it.
_SYMBOL: Final = "\N{SYMBOL FOR NULL}"


def without_nul(text: str) -> str:
    """Return a text that PostgreSQL keeps, to find a record by; the record keeps its exact bytes."""
    return text.replace("\0", _SYMBOL)


class StoredText(TypeDecorator[str]):
    """Text of any characters; what a gateway sends must not be able to stop a store."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what is stored, or looked for."""
        return value if value is None or dialect.name == "sqlite" else without_nul(value)

    def process_literal_param(self, value: str | None, dialect: Dialect) -> Any:
        """Return what stands in a statement."""
        return self.process_bind_param(value, dialect)
