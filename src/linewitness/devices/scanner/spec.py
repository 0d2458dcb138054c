"""Code readers, as the table of drivers lists them."""

from typing import Final

from linewitness.devices.spec import DriverSpec

SCANNER: Final = DriverSpec(
    name="scanner",
    title="Scanner",
    options="linewitness.devices.scanner.options:ScannerOptions",
    driver="linewitness.devices.scanner.driver:build",
)
