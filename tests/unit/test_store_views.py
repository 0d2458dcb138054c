"""The views: what a follower makes of records, piece by piece, is what a rebuild makes of all of them."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from linewitness.base.clock import SystemClock
from linewitness.evidence.verify.capture_stretches import StretchFinder
from linewitness.evidence.verify.signs import sign_of
from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreMoved
from linewitness.store.views import filler as filling
from linewitness.store.views.filler import ViewFiller, filled_streams
from linewitness.store.views.rebuild import rebuild
from support.fake_gateway import FakeGateway
from support.histories import at_random
from support.ledger_rig import Store

pytestmark = pytest.mark.usefixtures("both_databases")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.database.close()


def fill(database: Database) -> None:
    filler = ViewFiller(database)
    while filler.step():
        pass
    assert not filler.damage


def contents(database: Database, tenant: str = "acme") -> dict[str, set[tuple[Any, ...]]]:
    with database.reading(tenant) as connection:
        return {
            view.name: {tuple(row) for row in connection.execute(select(view).where(view.c.tenant == tenant))}
            for view in views.VIEWS
        }


def plant(store: Store, seed: int, count: int = 120) -> list[FakeGateway]:
    gateways = []
    for number in (1, 2):
        gateway = FakeGateway(
            origin=f"acme.example/ber-0{number}/line/1", gateway=f"ber-0{number}", seed=f"{number}"
        )
        store.enroll(gateway)
        at_random(gateway, Random(seed * 10 + number), count)
        gateways.append(gateway)
    return gateways


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_rebuild_is_what_the_follower_made(
    store: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "STEP", 17)
    random, gateways = Random(seed), plant(store, seed)
    sent = dict.fromkeys(range(len(gateways)), 0)
    filler = ViewFiller(store.database)
    while any(sent[at] < gateway.size for at, gateway in enumerate(gateways)):
        at = random.randrange(len(gateways))
        until = min(gateways[at].size, sent[at] + random.randint(1, 60))
        store.clock.ns += random.choice((0, 100)) * 10**9
        store.send(gateways[at], sent[at], until)
        sent[at] = until
        for _ in range(random.randint(0, 3)):
            filler.step()
        if random.random() < 0.2:
            filler = ViewFiller(store.database)  # the program was started again
    while filler.step():
        pass
    followed = contents(store.database)
    assert all(followed[name] for name in followed), "a view that no history fills is not tested"
    monkeypatch.setattr(filling, "STEP", 256)
    told: list[int] = []
    done = rebuild(store.database, clock=SystemClock(), tell=told.append)
    assert contents(store.database) == followed
    assert (done.records, done.streams) == (sum(gateway.size for gateway in gateways), 2)
    assert sum(told) == done.records
    assert done.seconds > 0


def test_stretches_are_those_of_the_verifiers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "STEP", 5)
    gateways = plant(store, 4)
    for gateway in gateways:
        store.send(gateway)
    fill(store.database)
    with store.database.reading("acme") as connection:
        streams = list(filled_streams(connection, "acme"))
    for gateway, stream in zip(gateways, streams, strict=True):
        finder = StretchFinder()
        finder.follow(sign_of(orjson.loads(data)) for data in gateway.records)
        theirs = [(one.subject, one.since, one.until, one.why, one.first, one.last) for one in finder.end()]
        gaps = views.gaps
        columns = ("subject", "since", "until", "why", "first_seq", "last_seq")
        with store.database.reading("acme") as connection:
            query = select(*(gaps.c[name] for name in columns)).order_by(gaps.c.nr)
            ours = [
                tuple(row) for row in connection.execute(query.where(gaps.c.stream_id == stream.stream_id))
            ]
        assert len(theirs) > 5
        assert any("nothing was recorded" in one[3] for one in theirs)
        assert ours == theirs


def test_two_followers_do_not_count_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (gateway, other) = plant(store, 5)
    store.send(gateway)
    store.send(other)
    first, second = ViewFiller(store.database), ViewFiller(store.database)
    taken = filling._move
    lost: list[str] = []

    def move(connection: Any, stream: Any, to: int) -> None:
        if stream.filled == 0 and not lost:
            lost.append(stream.origin)
            raise StoreMoved("another program fills the views", hint="")
        taken(connection, stream, to)

    monkeypatch.setattr(filling, "_move", move)
    while first.step() + second.step():
        pass
    assert lost
    followed = contents(store.database)
    rebuild(store.database, clock=SystemClock(), tell=lambda _: None)
    assert contents(store.database) == followed


def test_a_step_that_another_has_made_is_not_made_again(store: Store) -> None:
    (gateway, _) = plant(store, 6)
    store.send(gateway)
    filler = ViewFiller(store.database)
    with store.database.reading("acme") as connection:
        before = next(filled_streams(connection, "acme"))
    filler.step()
    followed = contents(store.database)
    with pytest.raises(StoreMoved):
        filler._fill(before)
    assert contents(store.database) == followed


def test_views_of_another_version_are_made_anew(store: Store) -> None:
    for gateway in plant(store, 7):
        store.send(gateway)
    fill(store.database)
    followed = contents(store.database)
    with store.database.writing("acme") as connection:
        connection.execute(update(views.view_positions).values(version=0))
        connection.execute(update(views.results).values(tool="as an earlier program saw it"))
    assert contents(store.database) != followed
    fill(store.database)
    assert contents(store.database) == followed


def test_a_tenant_has_views_of_its_own(store: Store) -> None:
    for tenant in ("acme", "other"):
        gateway = FakeGateway(tenant=tenant, seed=tenant)
        store.enroll(gateway)
        at_random(gateway, Random(8), 60)
        store.send(gateway)
    fill(store.database)
    ours, theirs = contents(store.database, "acme"), contents(store.database, "other")
    assert len(ours["results"]) == len(theirs["results"]) > 0
    rebuild(store.database, clock=SystemClock(), tenant="other", tell=lambda _: None)
    assert contents(store.database, "acme") == ours
    assert contents(store.database, "other") == theirs
