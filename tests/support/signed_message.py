"""What a record's hash and signature cover, encoded anew: for forgers, and against the product's own cut."""

from typing import Any

from linewitness.evidence.format import canonical, record


def signed_message(members: dict[str, Any]) -> bytes:
    """Return what a parsed record's hash and signature cover (docs/format.md, section 5)."""
    integrity = {
        name: value
        for name, value in members["integrity"].items()
        if name not in ("record_hash", "signature")
    }
    return record.pae(record.PAYLOAD_TYPE, canonical.encode({**members, "integrity": integrity}))
