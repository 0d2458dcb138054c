"""Make a signed note of a list, as its owner does before bringing it to a line."""

from itertools import takewhile
from pathlib import Path

from linewitness.base.errors import ConfigurationError
from linewitness.config.csv_text import decoded
from linewitness.config.lists.reading import ISSUED, SIGNATURES
from linewitness.config.problems import ConfigurationErrors
from linewitness.evidence.format.note import MAX_NOTE_BYTES, BadNote, Note, sign
from linewitness.evidence.policy.customer import Customer


def signed_list(file: Path, data: bytes, signer: Customer, *, issued: str) -> bytes:
    """Return the note of a list: line feeds only, and with its time of issue in its first line."""
    text = decoded(data, file)
    if not isinstance(text, str):
        raise ConfigurationErrors(file, [text])
    text = text.replace("\r\n", "\n")
    if SIGNATURES.search(text):
        raise ConfigurationError(f"{file} is signed already", hint="sign the CSV that it was made of")
    comments = takewhile(lambda line: line.startswith("#"), text.split("\n"))
    if not any(line.startswith(ISSUED) for line in comments):
        text = f"{ISSUED} {issued}\n{text}"
    if not text.endswith("\n"):
        text += "\n"
    note = Note(text, (sign(text, name=signer.name, key=signer.key),))
    if len(str(note)) > MAX_NOTE_BYTES:
        raise ConfigurationError(f"{file} is too large to be signed: {MAX_NOTE_BYTES:,} characters at most")
    try:
        Note.parse(str(note)).signed_by(signer.vkey)
    except BadNote as error:
        raise ConfigurationError(
            f"{file} cannot be signed: {error.what}",
            hint="separate cells with commas or semicolons, not tabs",
        ) from None
    return str(note).encode()
