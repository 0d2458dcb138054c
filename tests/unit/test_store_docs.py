"""The store's page: its YAML is accepted, and its tables name all settings, commands and tables."""

import re
from pathlib import Path

from linewitness.cli.sources import load_store
from linewitness.cli.store import app
from linewitness.store.inbox.quota import QuotaOptions
from linewitness.store.options import AuditStoreOptions
from linewitness.uplink.options import MqttOptions, TlsOptions
from support.present import present

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text()


def test_example_is_accepted(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "store.yaml"
    file.write_text(example)
    assert load_store(file).name == "store.acme.example"


def test_every_setting_is_described() -> None:
    names = {name for name in AuditStoreOptions.model_fields if name not in ("mqtt", "key", "quota")}
    names |= {f"quota.{name}" for name in QuotaOptions.model_fields}
    names |= {f"mqtt.{name}" for name in MqttOptions.model_fields if name != "tls"}
    names |= {f"mqtt.tls.{name}" for name in TlsOptions.model_fields}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_every_command_is_described() -> None:
    commands = {command.name or present(command.callback).__name__ for command in app.registered_commands}
    assert commands == set(re.findall(r"^\| `store ([\w-]+)", PAGE, re.MULTILINE))
