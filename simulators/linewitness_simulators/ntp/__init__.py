"""An NTP server that may be late, wrong, unsynchronised, or lie."""

from linewitness_simulators.ntp.server import NtpSimulation, RunningNtp, serve

__all__ = ["NtpSimulation", "RunningNtp", "serve"]
