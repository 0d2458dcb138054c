"""What a controller says beside results: alarms, the selected parameter set, identifiers, jobs, the tool."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from linewitness.base.clock import Stamp
from linewitness.devices.base import Code, Observation, Scalar
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram

#: Parts of the tool data that tell one tool, or one state of it, from another; counters are left out.
TOOL_KEYS: Final = (
    "tool_serial_number",
    "tool_model",
    "tool_article_number",
    "last_calibration_date",
    "calibration_value",
    "last_service_date",
    "tool_type",
    "tool_max_torque",
    "controller_serial_number",
    "controller_sw_version",
)
TOOL_KEY: Final = "tool"
PSET_KEY: Final = "pset"
JOB_KEY: Final = "job"
ALARM_PREFIX: Final = "alarm/"
JOB_KEYS: Final = ("job_id", "job_status", "job_batch_size", "job_batch_counter", "job_sequence_number")
#: Of the four blocks of 0152: type 1, included 2, status 2, then the text.
IDENTIFIER_TEXT: Final = slice(5, None)

Change = tuple[str, Scalar, Scalar]


class NoticeReader:
    """Makes observations of pushes that are no results, and knows what the controller said last."""

    def __init__(self, remembered: Mapping[str, str]) -> None:
        """Start from what was committed."""
        self._known: dict[str, str] = dict(remembered)

    def read(self, received: ReceivedTelegram, facts: SessionFacts) -> Observation:
        """Return what a push means; one that means nothing new is confirmed all the same."""
        decoded = decode(received.telegram)
        mid = received.telegram.mid
        if mid in {Mid.ALARM, Mid.ALARM_STATUS, Mid.ALARM_ACKED}:
            return self._alarm(received, decoded, facts)
        if mid == Mid.PSET_SELECTED:
            return self._parameter_set(received, decoded, facts)
        if mid in {Mid.IDENTIFIER, Mid.IDENTIFIERS}:
            return self._identifier(received, decoded, facts)
        if mid == Mid.JOB_INFO:
            return self._job(received, decoded, facts)
        return facts.seen(received)

    def tool(self, decoded: DecodedTelegram, now: Stamp, facts: SessionFacts) -> Observation | None:
        """Return what changed about the tool since it was last seen, or None."""
        found = {key: decoded.content(key) for key in TOOL_KEYS if decoded.content(key) is not None}
        before: dict[str, Scalar] = json.loads(self._known.get(TOOL_KEY, "{}"))
        changes = tuple(
            (key, before.get(key), content) for key, content in found.items() if before.get(key) != content
        )
        if not changes:
            return None
        remember = self._remember(TOOL_KEY, json.dumps(before | found))
        serial = decoded.text("tool_serial_number") or "unknown"
        swapped = before.get("tool_serial_number") not in (None, serial)
        return facts.notice(
            "tool.changed",
            ("tool", serial),
            "another tool is connected" if swapped else "tool data as the controller states them",
            at=now,
            changes=changes,
            remember=remember,
        )

    def _alarm(
        self, received: ReceivedTelegram, decoded: DecodedTelegram, facts: SessionFacts
    ) -> Observation:
        code = decoded.text("error_code") or ""
        cleared = received.telegram.mid == Mid.ALARM_ACKED or decoded.number("alarm_status") == 0
        active = [key for key in self._known if key.startswith(ALARM_PREFIX)]
        if cleared:
            ended = [key for key in active if not code or key == ALARM_PREFIX + code]
            return self._cleared(received, ended, facts) if ended else facts.seen(received)
        key = ALARM_PREFIX + code
        if key in active:
            return facts.seen(received)
        remember = self._remember(key, decoded.text("time") or "-")
        changes = tuple(
            (name, None, decoded.content(name))
            for name in ("alarm_text", "controller_ready", "tool_ready", "tool_health")
            if decoded.content(name) is not None
        )
        return facts.notice(
            "alarm.raised",
            ("alarm", f"{facts.device}/{code}"),
            decoded.text("alarm_text") or f"alarm {code} of the controller",
            at=received,
            time=decoded.text("time"),
            changes=changes,
            remember=remember,
        )

    def _cleared(self, received: ReceivedTelegram, keys: list[str], facts: SessionFacts) -> Observation:
        remember: dict[str, str | None] = {}
        for key in keys:
            remember |= self._remember(key, None)
        codes = ", ".join(key.removeprefix(ALARM_PREFIX) for key in keys)
        acked = received.telegram.mid == Mid.ALARM_ACKED
        return facts.notice(
            "alarm.cleared",
            ("alarm", f"{facts.device}/{codes}"),
            "acknowledged at the controller" if acked else "no alarm is active any more",
            at=received,
            remember=remember,
        )

    def _parameter_set(
        self, received: ReceivedTelegram, decoded: DecodedTelegram, facts: SessionFacts
    ) -> Observation:
        number = decoded.number("pset_id")
        if number is None:
            return facts.seen(received)
        now = json.dumps([number, decoded.text("last_change"), decoded.text("pset_name")])
        before: list[Scalar] = json.loads(self._known.get(PSET_KEY, "[null, null, null]"))
        if json.loads(now) == before:
            return facts.seen(received)
        names = ("parameter_set", "last_change", "parameter_set_name")
        after: list[Scalar] = json.loads(now)
        return facts.notice(
            "parameter.changed",
            ("controller", facts.device),
            f"parameter set {number} is selected",
            at=received,
            changes=tuple(
                (name, old, new) for name, old, new in zip(names, before, after, strict=True) if old != new
            ),
            remember=self._remember(PSET_KEY, now),
        )

    def _job(self, received: ReceivedTelegram, decoded: DecodedTelegram, facts: SessionFacts) -> Observation:
        found = {key: decoded.content(key) for key in JOB_KEYS if decoded.content(key) is not None}
        before: dict[str, Scalar] = json.loads(self._known.get(JOB_KEY, "{}"))
        if found == before:
            return facts.seen(received)
        return facts.notice(
            "parameter.changed",
            ("job", f"{facts.device}/{found.get('job_id', 0)}"),
            "job information of the controller",
            at=received,
            time=decoded.text("timestamp"),
            changes=tuple(
                (key, before.get(key), new) for key, new in found.items() if before.get(key) != new
            ),
            remember=self._remember(JOB_KEY, json.dumps(found)),
        )

    def _identifier(
        self, received: ReceivedTelegram, decoded: DecodedTelegram, facts: SessionFacts
    ) -> Observation:
        text = decoded.text("vin")
        if received.telegram.mid == Mid.IDENTIFIERS:
            block = decoded.values.get("identifier_1")
            text = (
                block.raw[IDENTIFIER_TEXT].decode("utf-8", "replace").strip() if block is not None else None
            )
        seen = facts.seen(received)
        if not text:
            return seen
        return Code(
            device=seen.device,
            session_id=seen.session_id,
            received=seen.received,
            when=seen.when,
            raw=seen.raw,
            confirmable=True,
            text=text,
        )

    def _remember(self, key: str, text: str | None) -> Mapping[str, str | None]:
        if text is None:
            self._known.pop(key, None)
        else:
            self._known[key] = text
        return MappingProxyType({key: text})


def clock_notice(facts: SessionFacts, now: Stamp, remember: Mapping[str, str | None]) -> Observation:
    """Return what was measured of the controller's clock."""
    offset = facts.clock
    changes: tuple[Change, ...] = ()
    reason = "the controller does not tell its time (0080)"
    if offset is not None:
        changes = (("offset_ms", None, offset.offset_ms), ("zone", None, str(offset.zone)))
        reason = "measured by asking for its time (0080)"
        if offset.zone_measured:
            reason += "; no zone is configured, so it was concluded from the difference"
    return facts.notice(
        "clock.status", ("device", facts.device), reason, at=now, changes=changes, remember=remember
    )
