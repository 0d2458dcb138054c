"""Make the edge cases for Ed25519 that C2SP/CCTV publishes (ed25519vectors.json), from their description.

No package of Debian, PyPI or npm ships the file. It is a fixed function of two published constants: a key
and a nonce, each alone or moved by one of the eight points of small order, in each of their encodings, with
the first messages whose challenge makes the small parts cancel out and not cancel out.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from support import ed25519_by_hand as hand
from support.ed25519_by_hand import L, P, Point

#: The published constants: 32 bytes 0x42, clamped as RFC 8032 clamps; 0x1337 32 times, modulo L.
SECRET = (int.from_bytes(b"\x42" * 32, "little") & ((1 << 255) - 8) & ~(1 << 255) | 1 << 254) % L
NONCE = int.from_bytes(b"\x13\x37" * 32, "little") % L
FLAGS = (
    "low_order_R",
    "low_order_A",
    "low_order_component_R",
    "low_order_component_A",
    "low_order_residue",
    "non_canonical_A",
    "non_canonical_R",
    "reencoded_k",
)


class Small(NamedTuple):
    """A point of small order: which multiple of the generator, and its encodings."""

    multiple: int
    point: Point
    canonical: bytes
    others: tuple[bytes, ...]


class Half(NamedTuple):
    """A or R as a vector has it: the small point in it, its bytes, and the scalar of its large part."""

    small: Small
    encoded: bytes
    scalar: int

    @property
    def canonical(self) -> bytes:
        """The bytes that an implementation which encodes the point again would hash."""
        return self.encoded if self.scalar else self.small.canonical

    @property
    def is_canonical(self) -> bool:
        return self.encoded == self.canonical


def vectors() -> list[dict[str, Any]]:
    """Return all of them, numbered as in the published file."""
    return [{"number": number, **vector} for number, vector in enumerate(_unnumbered())]


def text_of(all_of_them: list[dict[str, Any]]) -> str:
    """Return the published file's text."""
    return json.dumps(all_of_them, indent="\t") + "\n"


def _small_points() -> list[Small]:
    found = [
        Small(multiple, point, hand.encode(point), _other_encodings(point))
        for multiple, point in enumerate(hand.torsion())
    ]
    return sorted(found, key=lambda small: small.canonical)


def _other_encodings(point: Point) -> tuple[bytes, ...]:
    signs = (0, 1) if point[0] == 0 else (point[0] & 1,)
    heights = [y for y in (point[1], point[1] + P) if y < 1 << 255]
    every = {(y | sign << 255).to_bytes(32, "little") for y in heights for sign in signs}
    return tuple(sorted(every - {hand.encode(point)}))


def _unnumbered() -> Iterator[dict[str, Any]]:
    points = _small_points()
    public, commitment = hand.times(SECRET, hand.BASE), hand.times(NONCE, hand.BASE)
    mixed_a = {small: Half(small, hand.encode(hand.add(public, small.point)), SECRET) for small in points}
    mixed_r = {small: Half(small, hand.encode(hand.add(commitment, small.point)), NONCE) for small in points}
    for a in points:
        for r in points:
            yield from _of_pair(a, r, mixed_a[a], mixed_r[r])


def _of_pair(a: Small, r: Small, mixed_a: Half, mixed_r: Half) -> Iterator[dict[str, Any]]:
    small_a, small_r = Half(a, a.canonical, 0), Half(r, r.canonical, 0)
    for key in (small_a, mixed_a):
        for commitment in (small_r, mixed_r):
            yield from _signed(key, commitment)
    for encoded in a.others:
        key = Half(a, encoded, 0)
        yield from _signed(key, small_r)
        yield from _signed(key, mixed_r)
        yield from _signed(key, mixed_r, again=True)
    for encoded in r.others:
        commitment = Half(r, encoded, 0)
        yield from _signed(small_a, commitment)
        yield from _signed(mixed_a, commitment)
        yield from _signed(mixed_a, commitment, again=True)
    for encoded_a in a.others:
        for encoded_r in r.others:
            yield from _signed(Half(a, encoded_a, 0), Half(r, encoded_r, 0))


def _signed(key: Half, commitment: Half, *, again: bool = False) -> Iterator[dict[str, Any]]:
    """Yield a vector whose small parts do not cancel out, and one in which they do, where there is one.

    With `again`, the signer has hashed canonical encodings in place of the bytes that are sent.
    """
    hashed = (commitment.canonical, key.canonical) if again else (commitment.encoded, key.encoded)
    seen = set()
    for rest in range(8):
        message, challenge = _message(hashed, rest)
        residue = _residue(challenge, key, commitment)
        if residue in seen:
            continue
        seen.add(residue)
        scalar = (challenge * key.scalar + commitment.scalar) % L
        read = _challenge(commitment.encoded, key.encoded, message)
        yield {
            "key": key.encoded.hex(),
            "sig": (commitment.encoded + scalar.to_bytes(32, "little")).hex(),
            "msg": message,
            "flags": _flags(key, commitment, residue=_residue(read, key, commitment), again=again),
        }


def _message(hashed: tuple[bytes, bytes], rest: int) -> tuple[str, int]:
    """Return the first message whose challenge is `rest` modulo 8, and the challenge."""
    message, count = "ed25519vectors", 0
    while (challenge := _challenge(*hashed, message)) % 8 != rest:
        count += 1
        message = f"ed25519vectors {count}"
    return message, challenge


def _challenge(commitment: bytes, key: bytes, message: str) -> int:
    return int.from_bytes(hashlib.sha512(commitment + key + message.encode()).digest(), "little") % L


def _residue(challenge: int, key: Half, commitment: Half) -> bool:
    return (challenge * key.small.multiple + commitment.small.multiple) % 8 != 0


def _flags(key: Half, commitment: Half, *, residue: bool, again: bool) -> list[str] | None:
    present = (
        not commitment.scalar,
        not key.scalar,
        commitment.small.multiple != 0,
        key.small.multiple != 0,
        residue,
        not key.is_canonical,
        not commitment.is_canonical,
        again,
    )
    return [flag for flag, is_there in zip(FLAGS, present, strict=True) if is_there] or None
