"""The soak's judgement of memory: a leak is seen in noise, restarts and the warm-up are not taken for one."""

import random
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from soak.ending import MEMORY_PER_HOUR
from soak.samples import MB, Sample, lifetimes, longest, trend


def samples(rss: Callable[..., Any], *, pid: int = 1, begin_s: int = 0, count: int = 500) -> list[Sample]:
    """Return samples five seconds apart; `rss` is a function of the hours since the first."""
    blank = dict.fromkeys((field.name for field in fields(Sample)), 0)
    moments = [begin_s + 5 * number for number in range(count)]
    return [
        Sample(**blank | {"at_s": at_s, "gateway": pid, "rss": rss((at_s - begin_s) / 3600)})
        for at_s in moments
    ]


def noise(seed: int) -> Callable[..., Any]:
    chance = random.Random(seed)
    return lambda: chance.uniform(-1, 1) * MB


def test_a_leak_is_seen_in_noise() -> None:
    shaken = noise(1)
    found = trend(samples(lambda hours: 100 * MB + 5 * MB * hours + shaken()), lambda each: each.rss)
    assert found.per_hour == pytest.approx(5 * MB, abs=4 * found.error)
    assert found.per_hour > MEMORY_PER_HOUR


def test_noise_alone_is_no_leak() -> None:
    shaken = noise(2)
    found = trend(samples(lambda _: 100 * MB + shaken()), lambda each: each.rss)
    assert abs(found.per_hour) < MEMORY_PER_HOUR
    assert found.least < found.first < found.most


def test_only_the_longest_life_counts_and_not_its_beginning() -> None:
    def warming(hours: float) -> int:
        return int(min(100 * MB, 60 * MB + 240 * MB * hours))

    short = samples(warming, pid=7, count=100)
    gone = samples(lambda _: 0, pid=0, begin_s=500, count=3)
    long = samples(warming, pid=8, begin_s=515)
    watched = [*short, *gone, *long]
    assert [life[0].gateway for life in lifetimes(watched, lambda each: each.gateway)] == [7, 8]
    life = longest(watched, lambda each: each.gateway, warm_s=600)
    assert (life[0].at_s, life[0].gateway, life[-1]) == (1115, 8, long[-1])
    assert trend(life, lambda each: each.rss).per_hour == pytest.approx(0)
    assert trend(long, lambda each: each.rss).per_hour > MEMORY_PER_HOUR
