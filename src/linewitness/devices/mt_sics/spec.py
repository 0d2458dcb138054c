"""Scales that speak MT-SICS, as the table of drivers lists them."""

from typing import Final

from linewitness.devices.spec import DriverSpec

MT_SICS: Final = DriverSpec(
    name="mt_sics",
    title="Scale (MT-SICS)",
    options="linewitness.devices.mt_sics.options:MtSicsOptions",
    driver="linewitness.devices.mt_sics.driver:build",
)
