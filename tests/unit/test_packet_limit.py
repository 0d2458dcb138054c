"""How large a message the broker takes."""

import pytest

from linewitness.base.errors import UplinkTooLarge
from linewitness.gateway.sending.packet_limit import CUT_AGAIN, CUT_ALONE, PacketLimit

BATCH = 256 * 1024


def ends(limit: PacketLimit, size: int, records: int, times: int) -> None:
    """Let connections end while a message is on its way."""
    for _ in range(times):
        limit.leaves(size, records)
        limit.connected()


def test_what_the_broker_announces_counts() -> None:
    limit = PacketLimit(BATCH)
    assert limit.payload("records", None) == BATCH
    assert 19_000 < limit.payload("records", 20_000) < 20_000 - len("records")
    assert limit.payload("records", 10) == 1


def test_connections_that_end_at_a_large_message_halve_it_and_that_is_remembered() -> None:
    limit = PacketLimit(BATCH)
    ends(limit, 200_000, 100, CUT_AGAIN - 1)
    assert limit.payload("records", None) == BATCH
    ends(limit, 200_000, 100, 1)
    assert limit.payload("records", None) == 100_000
    ends(limit, 90_000, 50, CUT_AGAIN)
    assert limit.payload("records", None) == 45_000


def test_only_a_message_larger_than_any_before_explains_that_a_connection_ended() -> None:
    limit = PacketLimit(BATCH)
    assert not limit.explains
    limit.leaves(2_000, 2)
    assert limit.explains
    limit.taken(2_000, 2)
    limit.leaves(2_000, 2)
    assert not limit.explains
    limit.leaves(2_001, 2)
    assert limit.explains
    limit.connected()
    assert not limit.explains


def test_connections_that_end_at_a_message_that_arrives_at_other_times_change_nothing() -> None:
    limit = PacketLimit(BATCH)
    limit.leaves(200_000, 100)
    limit.taken(200_000, 100)
    ends(limit, 150_000, 70, 10 * CUT_AGAIN)
    assert limit.payload("records", None) == BATCH


def test_an_acknowledgement_between_begins_anew() -> None:
    limit = PacketLimit(BATCH)
    for _ in range(5):
        ends(limit, 200_000, 100, CUT_AGAIN - 1)
        limit.leaves(1000, 1)
        limit.taken(1000, 1)
    assert limit.payload("records", None) == BATCH


def test_an_acknowledged_message_does_not_hide_a_larger_one_on_its_way() -> None:
    limit = PacketLimit(BATCH)
    limit.leaves(1000, 1)
    for _ in range(CUT_AGAIN):
        limit.leaves(200_000, 100)
        limit.connected()
    assert limit.payload("records", None) == 100_000


def test_a_single_record_that_is_never_taken_is_an_error_that_names_the_setting() -> None:
    limit = PacketLimit(BATCH)
    ends(limit, 60_000, 1, CUT_ALONE - 1)
    with pytest.raises(UplinkTooLarge, match="60000 bytes") as error:
        ends(limit, 60_000, 1, 1)
    assert "max_packet_size" in error.value.hint
    with pytest.raises(UplinkTooLarge):
        ends(limit, 60_000, 1, 1)


def test_a_message_that_was_refused_explains_no_later_end() -> None:
    limit = PacketLimit(BATCH)
    limit.leaves(200_000, 100)
    limit.refused(200_000, 100)
    assert not limit.explains
    limit.leaves(5_000, 1)
    limit.forget()
    assert not limit.explains


def test_a_single_record_that_is_given_up_is_the_limit() -> None:
    limit = PacketLimit(BATCH)
    limit.leaves(30_000, 1)
    with pytest.raises(UplinkTooLarge):
        limit.refused(30_000, 1)
    limit.give_up()
    assert limit.payload("telemetry", None) == 29_999
