"""One record as the views read it: its members under short names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Table

from linewitness.evidence.format.record import Scalar, unit_of
from linewitness.evidence.history.values import stated


class ViewRow(NamedTuple):
    """A row of a view, without its tenant and its stream."""

    table: Table
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ViewedRecord:
    """A parsed record, and when the store accepted it."""

    members: dict[str, Any]
    accepted_at: str
    values: Mapping[str, Scalar]
    unit: str | None

    @classmethod
    def of(cls, members: dict[str, Any], accepted_at: str) -> "ViewedRecord":
        """Read a parsed record."""
        return cls(members, accepted_at, stated(members), unit_of(members))

    @property
    def seq(self) -> int:
        """Its place in the stream."""
        return int(self.members["sequence_no"])

    @property
    def kind(self) -> str:
        """What happened."""
        return str(self.members["kind"])

    @property
    def occurred_at(self) -> str:
        """When it happened."""
        return str(self.members["occurred_at"])

    @property
    def station(self) -> str | None:
        """Where: the station of its context, or the one that the record is about."""
        resource = self.members["resource"]
        own = resource["id"] if resource["type"] == "station" else None
        station: str | None = self.members["context"].get("station_id", own)
        return station

    @property
    def device(self) -> str | None:
        """The device that it comes from, or is about."""
        device: str | None = self.members["context"].get("device_id")
        return device

    @property
    def actor(self) -> str:
        """Who did it, by the id."""
        return str(self.members["actor"]["id"])

    @property
    def person(self) -> str | None:
        """The person who did it, None where it was a device or the gateway."""
        return self.actor if self.members["actor"]["type"] == "user" else None

    @property
    def reason(self) -> str:
        """Why there is this record."""
        return str(self.members["reason"])

    @property
    def place(self) -> dict[str, Any]:
        """What every row of this record begins with."""
        return {"seq": self.seq, "occurred_at": self.occurred_at}

    def text(self, *fields: str) -> str | None:
        """Return the value of the first of these fields that has one, as text."""
        for field in fields:
            if (value := as_text(self.values.get(field))) is not None:
                return value
        return None


def as_text(value: Scalar) -> str | None:
    """Return a value as a column keeps it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
