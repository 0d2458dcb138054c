"""Values are read as the wire has them: with picoseconds after each time, and else as asyncua reads them."""

from datetime import UTC, datetime, timedelta
from struct import pack

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua import ua_binary
from hypothesis import given
from hypothesis import strategies as st

from linewitness.devices.opcua.connection.data_values import read_data_value, read_notification
from linewitness.devices.opcua.connection.hardening import harden

TIME = datetime(2026, 3, 1, 8, 0, 0, 250_000, tzinfo=UTC)
TIMES = st.none() | st.integers(0, 10**15).map(lambda us: TIME + timedelta(microseconds=us // 10))
VALUES = st.sampled_from(
    [
        ua.Variant(None),
        ua.Variant(7, ua.VariantType.Int32),
        ua.Variant(True, ua.VariantType.Boolean),
        ua.Variant(-7, ua.VariantType.SByte),
        ua.Variant(200, ua.VariantType.Byte),
        ua.Variant(-300, ua.VariantType.Int16),
        ua.Variant(60_000, ua.VariantType.UInt16),
        ua.Variant(2**32 - 1, ua.VariantType.UInt32),
        ua.Variant(-(2**63), ua.VariantType.Int64),
        ua.Variant(2**64 - 1, ua.VariantType.UInt64),
        ua.Variant(0.5, ua.VariantType.Float),
        ua.Variant([[1, 2], [3, 4]], ua.VariantType.Double),
        ua.Variant(1.5, ua.VariantType.Double),
        ua.Variant("µ", ua.VariantType.String),
        ua.Variant([1, 2, 3], ua.VariantType.UInt16),
        ua.Variant(TIME, ua.VariantType.DateTime),
    ]
)


def ticks(time: datetime) -> bytes:
    return pack("<q", ua.datetime_to_win_epoch(time))


def test_each_time_is_followed_by_its_picoseconds() -> None:
    later = TIME + timedelta(seconds=1)
    value = b"\x06" + pack("<i", 7)
    data = b"\x3f" + value + pack("<I", 0x40920000) + ticks(TIME) + b"\x05\x00" + ticks(later) + b"\x09\x00"
    found = read_data_value(Buffer(data))
    assert found.Value == ua.Variant(7, ua.VariantType.Int32)
    assert found.StatusCode
    assert found.StatusCode.value == 0x40920000
    assert (found.SourceTimestamp, found.ServerTimestamp) == (TIME, later)
    assert (found.SourcePicoseconds, found.ServerPicoseconds) == (5, 9)


@given(value=VALUES, status=st.sampled_from([0, 0x80350000]), source=TIMES, server=TIMES)
def test_without_picoseconds_it_is_what_the_library_reads(
    value: ua.Variant, status: int, source: datetime | None, server: datetime | None
) -> None:
    sent = ua.MonitoredItemNotification(9, ua.DataValue(value, ua.StatusCode(status), source, server))  # type: ignore[arg-type]
    data = ua_binary.struct_to_binary(sent)
    theirs = ua_binary.struct_from_binary(ua.MonitoredItemNotification, Buffer(data))
    ours = read_notification(buffer := Buffer(data))
    assert ours == theirs
    assert (ours.Value.Value.Value, ours.Value.Value.Dimensions) == (
        value.Value,
        theirs.Value.Value.Dimensions,
    )
    assert type(ours.Value.Value.Value) is type(theirs.Value.Value.Value)
    assert repr(ours) == repr(theirs)
    assert len(buffer) == 0


@pytest.mark.parametrize("length", range(1, 22))
def test_what_ends_too_soon_is_an_error(length: int) -> None:
    whole = b"\x0f\x06" + pack("<iI", 7, 0) + ticks(TIME) + ticks(TIME)
    assert read_data_value(Buffer(whole)).Value == ua.Variant(7, ua.VariantType.Int32)
    with pytest.raises(NotEnoughData):
        read_data_value(Buffer(whole[:length]))


def test_whoever_makes_a_client_reads_so() -> None:
    harden()
    data = b"\x1c" + ticks(TIME) + b"\x05\x00" + ticks(TIME)
    assert ua_binary.struct_from_binary(ua.DataValue, Buffer(data)).ServerTimestamp == TIME
