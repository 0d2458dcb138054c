"""`linewitness check` and the store's commands report all mistakes of a store's YAML at once, with places."""

from pathlib import Path

import pytest

from linewitness.base.errors import ConfigurationError
from linewitness.cli.sources import load_store
from linewitness.config import ConfigurationErrors
from support.lines import call

GOOD = """\
database: sqlite:///store.db
name: store.example
key: {file: store.key}
mqtt: {url: mqtts://broker, username: store, password: {file: pw}}
"""
WRONG = """\
database: nonsense
name: with space
key: hunter2
mqtt:
  url: mqtt://10.0.0.300
  protocol: 5
  tls: {certificate: ~/c.pem}
quota: {messages_per_s: many, mesages: 1}
tenants: [Acme]
databse: x
"""
TOLD = """\
1:11: database: it is not a URL such as sqlite:////var/lib/linewitness-store/store.db
2:7: name: 'with space' is not written as it must be
3:6: key: a secret does not belong into this file
5:8: mqtt.url: '10.0.0.300' is no address: an IPv4 address has four numbers from 0 to 255
6:13: mqtt.protocol: 5 is not one of 'auto', '5' or '3.1.1'
7:22: mqtt.tls.certificate: '~/c.pem': '~' is not replaced by a home folder here
8:25: quota.messages_per_s: 'many' is not a number
8:31: quota.mesages: there is no setting 'mesages' here
9:11: tenants[0]: 'Acme' is not written as it must be
10:1: databse: there is no setting 'databse' here
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "store.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_all_mistakes_of_a_store_are_in_one_report(tmp_path: Path) -> None:
    file = write(tmp_path, WRONG)
    checked = call("check", file)
    assert checked.exit_code == 2
    lines = checked.output.splitlines()
    assert len(lines) == len(TOLD.splitlines())
    for line, told in zip(lines, TOLD.splitlines(), strict=True):
        assert line.startswith(f"{file}:{told}"), line
    assert "hunter2" not in checked.output


def test_the_commands_of_the_store_make_the_same_report(tmp_path: Path) -> None:
    file = write(tmp_path, WRONG)
    with pytest.raises(ConfigurationErrors) as caught:
        load_store(file)
    assert f"{caught.value}\n" == call("check", file).output


def test_a_right_store_gives_one_line_and_its_missing_files(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    checked = call("check", file)
    assert checked.exit_code == 0
    assert checked.stdout == f"{file}: ok, the audit store store.example\n"
    assert f"warning: key.file: the file {tmp_path}/store.key is not there" in checked.stderr
    assert call("check", file, "--files").exit_code == 2


def test_a_secret_of_a_store_that_others_may_read_is_an_error(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    (tmp_path / "pw").write_text("hunter2")
    (tmp_path / "pw").chmod(0o644)
    checked = call("check", file)
    assert checked.exit_code == 2
    assert f"every user of this machine may use {tmp_path}/pw" in checked.stderr


def test_what_is_doubtful_in_a_store_is_a_warning(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD.replace("mqtts://broker", "mqtts://broker:1883"))
    checked = call("check", file)
    assert checked.exit_code == 0
    assert f"{file}:4:13: warning: mqtt.url: mqtts:// is with TLS, and 1883 is the usual" in checked.stderr


def test_a_store_that_lacks_its_database_is_still_taken_for_a_store(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD.replace("database: sqlite:///store.db\n", ""))
    checked = call("check", file)
    assert (checked.exit_code, f"{file}:1:1: database: is missing" in checked.output) == (2, True)
    assert len(checked.output.splitlines()) == 1


def test_without_sqlalchemy_a_store_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.cli.check.find_spec", lambda _: None)
    checked = call("check", write(tmp_path, GOOD))
    assert isinstance(checked.exception, ConfigurationError)
    assert "pip install 'linewitness[store]'" in str(checked.exception)
