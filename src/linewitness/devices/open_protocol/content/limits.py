"""Limits of parameter sets: live results carry them, stored ones are given those that provably held."""

from dataclasses import dataclass

from linewitness.devices.open_protocol.wire.codec import DecodedTelegram


@dataclass(frozen=True, slots=True, kw_only=True)
class TighteningLimits:
    """The limits of a parameter set, where they come from, and since when they hold (controller's time)."""

    pset: int
    low_torque: str | None
    high_torque: str | None
    low_angle: str | None
    high_angle: str | None
    since: str | None
    origin: str


class KnownLimits:
    """The limits that were met in this session, by parameter set."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_pset: dict[int, TighteningLimits] = {}

    def learn_from_result(self, decoded: DecodedTelegram) -> None:
        """Keep the limits that a live result carries, if it does."""
        values = decoded.values
        pset, low = values.get("pset_id"), values.get("torque_min_limit")
        if pset is None or not isinstance(pset.content, int) or low is None or low.content is None:
            return
        self._by_pset[pset.content] = TighteningLimits(
            pset=pset.content,
            low_torque=low.decimal,
            high_torque=decoded.decimal("torque_max_limit"),
            low_angle=decoded.decimal("angle_min"),
            high_angle=decoded.decimal("angle_max"),
            since=decoded.text("pset_last_change"),
            origin=f"result {decoded.number('tightening_id')}",
        )

    def learn_from_parameter_set(self, decoded: DecodedTelegram, pset: int) -> None:
        """Keep the limits of parameter-set data (0013), unless better dated ones are known."""
        known = self._by_pset.get(pset)
        if known is not None and known.since is not None:
            return
        self._by_pset[pset] = TighteningLimits(
            pset=pset,
            low_torque=decoded.decimal("torque_min"),
            high_torque=decoded.decimal("torque_max"),
            low_angle=decoded.decimal("angle_min"),
            high_angle=decoded.decimal("angle_max"),
            since=decoded.text("last_change"),
            origin=f"parameter set {pset} (0013 revision {decoded.revision})",
        )

    def of_stored(self, decoded: DecodedTelegram) -> tuple[TighteningLimits | None, str]:
        """Return limits that can be proven to have held, and in words where they come from."""
        pset, time = decoded.number("pset_id"), decoded.text("timestamp")
        limits = self._by_pset.get(pset) if pset is not None else None
        if limits is None:
            return None, "not available"
        if limits.since is None or time is None or limits.since > time:
            return None, f"not provable: {limits.origin} does not show that they held at that time"
        return limits, f"{limits.origin}, unchanged since {limits.since}"
