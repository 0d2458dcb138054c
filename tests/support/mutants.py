"""Spoil evidence packages at random, from a seed: what they contain, and what lies beside them."""

import json
import random
from pathlib import Path

from nacl.signing import SigningKey

from linewitness.evidence.format.note import ED25519, Vkey
from linewitness.evidence.policy.revocation import Revocation
from support.chain_builder import Stream, grown
from support.packages import policy_for, receipt, selection, whole
from support.zips import unzipped, zipped

CUSTOMER = SigningKey(b"c" * 32)
WORDS = [
    b"0",
    b"-1",
    b'"',
    b"\\",
    b"\n",
    b"\n\n",
    b" ",
    b"}",
    b"{",
    b"]",
    b",",
    b"null",
    b"1.0",
    b"\\u0041",
    b"\xff",
    b"+",
    b"=",
    b"A",
]


def spoil(data: bytes, dice: random.Random) -> bytes:
    """Change one small thing."""
    at = dice.randrange(len(data) + 1)
    end = min(len(data), at + dice.choice([1, 1, 1, 2, 40, 400]))
    match dice.randrange(6):
        case 0:
            return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + dice.choice(WORDS) + data[at:]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:at] + data[at:end] + data[at:]
        case 4:
            lines = data.split(b"\n")
            one, two = dice.randrange(len(lines)), dice.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[one]
            return b"\n".join(lines)
        case _:
            lines = data.split(b"\n")
            del lines[dice.randrange(len(lines))]
            return b"\n".join(lines)


def spoiled_contents(folder: Path, seed: int, count: int) -> list[tuple[Path, Path, Path]]:
    """Return package, policy and revocation, of which one file each is spoiled."""
    dice = random.Random(seed)
    stream: Stream = grown(11, rotate_every=5)
    stream.commit(3)
    receipts = [("receipts/1.receipt", receipt(stream, 9)), ("receipts/2.receipt", receipt(stream))]
    sources = [
        unzipped(whole(stream, folder / "whole.zip", statements=receipts)),
        unzipped(selection(stream, folder / "some.zip", [2, 6, 7, 12])),
    ]
    customer = Vkey("customer.example/quality", ED25519, bytes(CUSTOMER.verify_key))
    policy = policy_for(stream, customer_key=customer).canonical
    second = Vkey.parse(json.loads(stream.records[5])["changes"][0]["after"])
    made: list[tuple[Path, Path, Path]] = []
    for number in range(count):
        files = dict(dice.choice(sources))
        target = dice.choice([*(name for name in files if name != "manifest.json"), "policy", "revocation"])
        # From record 11 on another key signs, so that the later ones revoke nothing that is here.
        revocation = Revocation(stream.origin, second, dice.choice([7, 11, 12]), "stolen")
        late = str(revocation.sign(CUSTOMER, name=customer.name)).encode()
        came = folder / f"{number}.note"
        came.write_bytes(spoil(late, dice) if target == "revocation" else late)
        named = folder / f"{number}.json"
        named.write_bytes(spoil(policy, dice) if target == "policy" else policy)
        if target in files:
            files[target] = spoil(files[target], dice)
        made.append((zipped(folder / f"{number}.zip", files), named, came))
    return made
