"""Scales that speak MT-SICS: a stable weight, asked for, with the scale's own text and unit."""

from linewitness.devices.mt_sics.driver import MtSicsDriver as Driver
from linewitness.devices.mt_sics.options import MtSicsOptions as Options

__all__ = ["Driver", "Options"]
