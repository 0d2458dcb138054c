"""A broker's reason codes in words (MQTT 5, section 2.4)."""

from typing import Final

FAILURE: Final = 0x80
#: The message was accepted and went to nobody: no store is subscribed (MQTT 5 only).
NO_MATCHING_SUBSCRIBERS: Final = 0x10
UNSUPPORTED_VERSION: Final = 0x84

#: Another client has connected with our client id (MQTT 5 only, and not every broker says it).
TAKEN_OVER: Final = 0x8E

#: Refusals of a connection that pass by themselves: unavailable, busy, shutting down, quota, rate.
TRANSIENT: Final = frozenset({0x88, 0x89, 0x8B, 0x97, 0x9F})

TOO_LARGE: Final = 0x95
_WORDS: Final = {
    0x80: "it gives no reason",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "it cannot do that",
    0x84: "it does not speak this version of MQTT",
    0x85: "the client identifier is not valid",
    0x86: "wrong user name or password",
    0x87: "not authorized",
    0x88: "it is not available",
    0x89: "it is busy",
    0x8A: "we are banned",
    0x8B: "it is shutting down",
    0x8D: "it did not hear from us in time",
    TAKEN_OVER: "another client took over the session",
    0x8F: "the topic filter is not valid",
    0x90: "the topic name is not valid",
    0x91: "the packet identifier is in use",
    0x93: "more messages in flight than it allows",
    TOO_LARGE: "the packet is too large",
    0x96: "too many messages in a short time",
    0x97: "the quota is exceeded",
    0x98: "by an administrator",
    0x99: "the payload's format is not valid",
    0x9A: "it keeps no retained messages",
    0x9B: "it does not support this QoS",
    0x9C: "use another server",
    0x9D: "the server has moved",
    0x9E: "it has no shared subscriptions",
    0x9F: "too many connections in a short time",
    0xA0: "the longest time for a connection is over",
    0xA2: "it has no subscriptions with wildcards",
}

_HINTS: Final = {
    0x85: "set client_id",
    0x86: "check username and password",
    0x87: "check the broker's ACL for this gateway's certificate or user name",
    TAKEN_OVER: "two programs use the same client_id, or somebody takes it: see docs/brokers.md",
    0x8F: "check the names of tenant and gateway",
    0x90: "check the names of tenant and gateway",
    TOO_LARGE: "raise the broker's limit of the packet size",
    0x97: "raise the broker's quota for this client",
    0x9A: "allow retained messages at the broker",
}


def words(code: int) -> str:
    """Return a reason code in words, with its number."""
    if code == 0:
        return "without a reason"
    return f"{_WORDS.get(code, 'unknown reason')} (0x{code:02x})"


def hint(code: int) -> str:
    """Return what to do about it, or nothing."""
    return _HINTS.get(code, "")
