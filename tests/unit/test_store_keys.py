from pathlib import Path

import pytest

from linewitness.base.durable import open_private
from linewitness.base.errors import ConfigurationError
from linewitness.base.secrets import Secret
from linewitness.evidence.format.note import COSIGNATURE_V1, Note, Vkey
from linewitness.store.keys import Cosigner, create_key
from support.fake_gateway import FakeGateway


def test_key_is_made_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "store.key"
    made = create_key("store.example", path)
    assert path.stat().st_mode & 0o777 == 0o600
    read = Cosigner.load("store.example", Secret(file=path))
    assert read.vkey == made.vkey
    assert read.vkey.algorithm == COSIGNATURE_V1
    assert Vkey.parse(str(read.vkey)) == made.vkey
    with pytest.raises(ConfigurationError, match="already"):
        create_key("store.example", path)
    assert Cosigner.load("store.example", Secret(file=path)) == read


def test_key_of_another_name_is_refused(tmp_path: Path) -> None:
    create_key("store.example", tmp_path / "key")
    with pytest.raises(ConfigurationError, match=r"that of store\.example, not of other\.example"):
        Cosigner.load("other.example", Secret(file=tmp_path / "key"))


@pytest.mark.parametrize("text", ["", "nonsense", "PRIVATE+KEY+store.example+00000000+AAAA", "A" * 44])
def test_file_without_a_key_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    with open_private(tmp_path / "key") as key:
        key.write(text.encode())
    with pytest.raises(ConfigurationError, match="does not hold a store's key"):
        Cosigner.load("store.example", Secret(file=tmp_path / "key"))


def test_receipt_is_the_checkpoint_with_a_cosignature_of_a_time(tmp_path: Path) -> None:
    gateway, cosigner = FakeGateway(), create_key("store.example", tmp_path / "key")
    checkpoint = Note.parse(gateway.checkpoint().decode())
    receipt = Note.parse(str(cosigner.cosign(checkpoint, 1_800_000_000)))
    assert receipt.text == checkpoint.text
    assert receipt.signed_by(gateway.log_vkey) == 0
    assert receipt.signed_by(cosigner.vkey) == 1_800_000_000
