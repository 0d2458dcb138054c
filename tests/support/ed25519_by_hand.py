"""Ed25519 as plain arithmetic, slow and unsafe, to make what no honest library makes: weak keys, odd R."""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    product = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, P - 2, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, P - 2, P)
    return x % P, y % P


def times(scalar: int, point: Point) -> Point:
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def recover(y: int, sign: int) -> Point | None:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return (P - x if x & 1 != sign else x) % P, y


def _base() -> Point:
    point = recover(4 * pow(5, P - 2, P) % P, 0)
    assert point
    return point


BASE = _base()


def torsion() -> list[Point]:
    """Return the eight points of small order."""
    y = 2
    while True:
        point = recover(y, 0)
        if point is not None:
            small = times(L, point)
            if times(4, small) != IDENTITY:
                return [times(count, small) for count in range(8)]
        y += 1


def sign(secret: int, public: bytes, nonce: int, message: bytes, twist: Point = IDENTITY) -> bytes:
    """Return a signature with a chosen nonce, whose R is moved by a point of small order."""
    commitment = encode(add(times(nonce, BASE), twist))
    challenge = int.from_bytes(hashlib.sha512(commitment + public + message).digest(), "little")
    return commitment + ((nonce + challenge * secret) % L).to_bytes(32, "little")
