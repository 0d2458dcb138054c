"""What is asked of a driver's folder: a sample that is accepted, and a page that shows it."""

from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from linewitness.config import load
from linewitness.devices.spec import DriverSpec
from linewitness.testing.checks import must

_LINE: Final = """\
version: 1
line: {tenant: acme, plant: plant-1, line: line-1, gateway: gw-1, origin: acme.example/plant-1/line-1/1}
journal: {directory: journal}
"""
_HEADINGS: Final = ("## Limits", "## Troubleshooting")


def sample_of(spec: DriverSpec) -> str:
    """Return the text of `sample.yaml`, which lies beside the module of the options."""
    package = spec.options.partition(":")[0].rpartition(".")[0]
    sample = files(package) / "sample.yaml"
    must(sample.is_file(), f"there is no sample.yaml in {package}")
    return sample.read_text(encoding="utf-8")


def check_sample(spec: DriverSpec) -> None:
    """Load a line whose devices are those of the sample."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "line.yaml"
        file.write_text(_LINE + sample_of(spec), encoding="utf-8")
        devices = load(file).devices
    must(all(device.driver == spec.name for device in devices), "the sample has devices of other drivers")


def check_page(spec: DriverSpec, page: Path) -> None:
    """Look for the sample as it stands, and for the headings that readers look for."""
    text = page.read_text(encoding="utf-8")
    must(
        f"```yaml\n{sample_of(spec).rstrip()}\n```" in text, f"{page} does not show sample.yaml as it stands"
    )
    lines = text.splitlines()
    for heading in _HEADINGS:
        must(heading in lines, f"{page} has no heading {heading!r}")
