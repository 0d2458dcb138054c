"""A scale that speaks MT-SICS on TCP: settles, drifts out of range, and misbehaves when asked to."""

from linewitness_simulators.scale.server import RunningScale, ScaleSimulation, serve

__all__ = ["RunningScale", "ScaleSimulation", "serve"]
