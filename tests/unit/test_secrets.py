"""Secrets by reference: read when needed, and never part of an error."""

import traceback

import pytest

from linewitness.errors import ConfigurationError
from linewitness.secrets import Secret

WORD = "correct-horse"


def test_a_line_end_is_not_part_of_a_secret(tmp_path):
    (tmp_path / "s").write_text(WORD + "\r\n")
    assert Secret(file=tmp_path / "s").read() == WORD


def test_what_is_no_text_is_refused_without_showing_it(tmp_path):
    (tmp_path / "s").write_bytes(b"\xff" + WORD.encode())
    with pytest.raises(ConfigurationError, match="is not text") as refused:
        Secret(file=tmp_path / "s").read()
    assert WORD not in "".join(traceback.format_exception(refused.value))


def test_a_secret_is_shown_as_its_place_only(tmp_path):
    (tmp_path / "s").write_text(WORD)
    secret = Secret(file=tmp_path / "s")
    secret.read()
    assert WORD not in repr(secret) + str(secret) + secret.model_dump_json()


def test_a_credential_needs_systemd(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError, match="is not there"):
        Secret(credential="mqtt").read()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt").write_text(WORD)
    assert Secret(credential="mqtt").read() == WORD
