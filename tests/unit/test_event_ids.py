"""Ids of records are ULIDs: of their time, and no two alike."""

from ulid import ULID

from linewitness.records.event_ids import EventIds

NOW_NS = 1_772_352_000_123_000_000


def test_ids_are_ulids_of_their_time_and_no_two_are_alike() -> None:
    ids = EventIds()
    made = [ids.new(NOW_NS + number * 400_000) for number in range(2000)]
    assert len(set(made)) == 2000
    assert len({one[10:] for one in made}) == 2000
    for number, one in enumerate(made):
        assert ULID.from_str(one).milliseconds == (NOW_NS + number * 400_000) // 1_000_000


def test_ids_made_at_once_are_ids_like_others() -> None:
    ids = EventIds()
    made = [one.decode() for one in ids.many(NOW_NS, 5000)] + [ids.new(NOW_NS) for _ in range(300)]
    assert len(set(made)) == 5300
    assert {ULID.from_str(one).milliseconds for one in made} == {NOW_NS // 1_000_000}
    assert {digit for one in made for digit in one[10:]} == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert ids.many(NOW_NS, 0) == []
