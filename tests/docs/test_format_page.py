from dataclasses import fields
from pathlib import Path

import pytest

from linewitness.evidence.format import kinds, notice, proof, record, schema
from linewitness.evidence.format.canonical import MAX_BYTES, MAX_DEPTH
from linewitness.evidence.format.keys import POSSESSION_TYPE
from linewitness.evidence.format.schema import Members
from linewitness.evidence.policy import policy, revocation
from linewitness.evidence.verify.clock_rules import DRIFT_PER_US, SILENCE_US, STARTING, STEP_US
from linewitness.evidence.verify.verdict import Attestation, Remark, Verdict

PAGE = (Path(__file__).parents[2] / "docs/format.md").read_text()


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_kind_is_on_the_page(kind: str) -> None:
    assert f"`{kind}`" in PAGE


@pytest.mark.parametrize(
    "members",
    [schema.RECORD, schema.ACTOR, schema.RESOURCE, schema.CHANGE, schema.CONTEXT, schema.CLOCK],
)
def test_every_member_is_on_the_page(members: Members) -> None:
    for name in (*members.required, *members.optional):
        assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    "name", [*policy._REQUIRED, *policy._OPTIONAL, *policy._ATTESTER, *policy._REVOCATION]
)
def test_every_member_of_the_policy_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_constants_are_those_of_the_page() -> None:
    assert (MAX_BYTES, MAX_DEPTH) == (65_535, 8)
    assert "at most 65 535" in PAGE
    assert "at most eight deep" in PAGE
    assert (STEP_US, DRIFT_PER_US, SILENCE_US) == (1_000_000, 0.001, 180_000_000)
    assert "1 s + 0.1 % of elapsed" in PAGE
    assert "more than 180 s" in PAGE
    assert all(f"`{kind}`" in PAGE.partition("### 12.1")[2] for kind in STARTING)
    headings = (policy.HEADING, revocation.HEADING, proof.HEADING, notice.HEADING)
    for text in (record.PAYLOAD_TYPE, POSSESSION_TYPE, *headings):
        assert text in PAGE


def test_every_member_of_the_verdict_is_on_the_page() -> None:
    part = PAGE.partition("### 12.4")[2]
    for found in (Verdict, Attestation, Remark):
        for field in fields(found):
            assert f"`{field.name}`" in part
