"""Each import contract, broken once in a copy of the sources: the check fails, and says what is wrong."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LINT = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"

#: The file that is changed, the import that is added to it, the contract that it breaks, and what is said.
BROKEN = {
    "a layer above": (
        "journal/pruning/prune.py",
        "import linewitness.gateway.forward",
        "layers",
        "Imports point down",
    ),
    "a store in the gateway": (
        "gateway/forward.py",
        "import linewitness.store.database.database",
        "layers",
        "Imports point down",
    ),
    "another driver": (
        "devices/modbus/driver.py",
        "import linewitness.devices.opcua.nodes",
        "drivers",
        "Drivers do not know each other",
    ),
    "a session in the torque driver's ledger": (
        "devices/open_protocol/ledger/rules.py",
        "import linewitness.devices.open_protocol.session.link",
        "torque",
        "The torque driver's rooms know only what lies below them",
    ),
    "a socket in the torque protocol": (
        "devices/open_protocol/wire/protocol.py",
        "import socket",
        "torque-pure",
        "linewitness.devices.open_protocol.wire.protocol -> socket",
    ),
    "a journal in the store": (
        "store/acceptance.py",
        "import linewitness.journal.reader",
        "store",
        "The store knows evidence, records, uplink and base only",
    ),
    "a journal in a station": (
        "stations/station.py",
        "import linewitness.journal.journal",
        "stations",
        "linewitness.stations.station -> linewitness.journal.journal",
    ),
    "boto3 in what proves": (
        "evidence/package/archive.py",
        "import boto3",
        "evidence",
        "linewitness.evidence.package.archive -> boto3",
    ),
    "settings in what proves": (
        "evidence/verify/stream.py",
        "import linewitness.base.settings",
        "evidence",
        "An auditor installs PyNaCl and nothing else",
    ),
    "Config in a part": (
        "gateway/keys/rotation.py",
        "from linewitness.config import Config",
        "config",
        "Give the part its own frozen options",
    ),
    "a simulator in the gateway": (
        "gateway/fleet.py",
        "import linewitness_simulators.torque",
        "simulated",
        "Nothing simulated runs in production",
    ),
    "the selftest in the journal": (
        "journal/file.py",
        "import linewitness_selftest.suite",
        "simulated",
        "Nothing simulated runs in production",
    ),
    "a web server in the gateway": (
        "gateway/lifecycle.py",
        "import starlette",
        "extras",
        "The gateway runs without the extras",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources and the contracts, to be broken."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("src", "simulators", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path, contract: str) -> subprocess.CompletedProcess[Any]:
    environment = os.environ | {"PYTHONPATH": f"{folder / 'src'}:{folder / 'simulators'}"}
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-logo", "--contract", contract],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("case", BROKEN, ids=lambda name: name.replace(" ", "-"))
def test_an_import_against_a_contract_is_refused_with_its_sentence(copy: Path, case: str) -> None:
    name, line, contract, said = BROKEN[case]
    file = copy / "src" / "linewitness" / name
    text = file.read_text(encoding="utf-8")
    head, rest = text.split('"""\n', 1)
    file.write_text(f'{head}"""\n\n{line}\n{rest}', encoding="utf-8")
    try:
        found = lint(copy, contract)
    finally:
        file.write_text(text, encoding="utf-8")
    assert found.returncode == 1, found.stdout + found.stderr
    assert said in found.stdout


def test_every_contract_is_broken_once() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert {contract for _, _, contract, _ in BROKEN.values()} == {
        contract["id"] for contract in contracts["contracts"]
    }


@pytest.mark.parametrize("contract", sorted({contract for _, _, contract, _ in BROKEN.values()}))
def test_the_sources_keep_the_contract(copy: Path, contract: str) -> None:
    found = lint(copy, contract)
    assert found.returncode == 0, found.stdout + found.stderr
