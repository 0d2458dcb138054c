import pytest

from linewitness.uplink.topics import Topics


def test_topics_are_those_of_the_format() -> None:
    topics = Topics("acme", "ber-01")
    assert topics.records == "linewitness/v1/acme/ber-01/records"
    assert topics.checkpoint == "linewitness/v1/acme/ber-01/checkpoint"
    assert topics.notice == "linewitness/v1/acme/ber-01/notice"
    assert topics.receipt == "linewitness/v1/acme/ber-01/receipt"
    assert topics.status == "linewitness/v1/acme/ber-01/status"
    assert topics.telemetry("press-4") == "linewitness/v1/acme/ber-01/telemetry/press-4"


@pytest.mark.parametrize("channel", ["records", "checkpoint", "notice", "receipt", "status"])
def test_a_topic_says_whose_it_is(channel: str) -> None:
    topics = Topics("acme", "ber-01")
    assert Topics.parse(getattr(topics, channel)) == (topics, channel)


@pytest.mark.parametrize(
    "topic",
    [
        "linewitness/v2/acme/ber-01/records",
        "linewitness/v1/acme/records",
        "linewitness/v1/acme//records",
        "linewitness/v1//ber-01/records",
        "linewitness/v1/acme/ber-01/telemetry/press",
        "linewitness/v1/acme/ber-01/unknown",
        "linewitness/v1/acme/ber-01/records/more",
        "x/linewitness/v1/acme/ber-01/records",
        "linewitness/v1/ac+me/ber-01/records",
        "",
    ],
)
def test_other_topics_are_nobodys(topic: str) -> None:
    assert Topics.parse(topic) is None


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "a+", "nul\0"])
def test_a_name_cannot_change_a_topics_meaning(name: str) -> None:
    with pytest.raises(ValueError, match="part of a topic"):
        Topics(name, "ber-01")
    with pytest.raises(ValueError, match="part of a topic"):
        Topics("acme", name)
    with pytest.raises(ValueError, match="part of a topic"):
        Topics("acme", "ber-01").telemetry(name)
