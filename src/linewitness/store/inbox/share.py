"""Which gateways a worker serves: a fixed hash says the same on every machine and in every version."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

#: So many groups of gateways are given to workers. The number never changes, that of workers may.
PARTITIONS: Final = 64
_HASH_BYTES: Final = 8


@lru_cache(4096)
def partition_of(tenant: str, gateway: str) -> int:
    """Return the partition of a gateway: SHA-256 of `tenant/gateway`, its first 8 bytes modulo 64."""
    digest = hashlib.sha256(f"{tenant}/{gateway}".encode()).digest()
    return int.from_bytes(digest[:_HASH_BYTES], "big") % PARTITIONS


@dataclass(frozen=True, slots=True)
class GatewayShare:
    """The partitions that a worker serves."""

    partitions: frozenset[int] = frozenset(range(PARTITIONS))

    @classmethod
    def of(cls, worker: int, workers: int) -> Self:
        """Return those of one worker of several: every `workers`-th, from its own number on."""
        return cls(frozenset(range(worker, PARTITIONS, workers)))

    @property
    def is_first(self) -> bool:
        """Whether it is the share of the first worker, which does what is done once for a store."""
        return 0 in self.partitions

    def serves(self, tenant: str, gateway: str) -> bool:
        """Say whether a gateway is among them."""
        return partition_of(tenant, gateway) in self.partitions


#: What a store without workers serves.
EVERYBODY: Final = GatewayShare()
