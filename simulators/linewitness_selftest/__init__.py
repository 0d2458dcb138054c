"""Faults injected into real journals: kills, failing calls, power cuts, full disks; and what came of them."""
