"""Have a C2SP witness cosign a checkpoint (tlog-witness: add-checkpoint)."""

from base64 import b64encode
from http.client import HTTPException
from typing import Final

from linewitness.anchors.base import AnchorDoubt, AnchorFailed, Subject, Written
from linewitness.anchors.http import Response, post
from linewitness.anchors.options import WitnessOptions
from linewitness.evidence.format.canonical import MAX_INTEGER
from linewitness.evidence.format.note import BadNote, Note, Vkey

_OK: Final = 200
_CONFLICT: Final = 409
_INCONSISTENT: Final = 422
_SIZE_TYPE: Final = "text/x.tlog.size"
#: The witness may know a smaller size than we remember, or a larger one: it says which, and is asked again.
_ATTEMPTS: Final = 3
#: No tree has a size of more digits.
_MAX_DIGITS: Final = len(str(MAX_INTEGER))
_WHY: Final = {
    400: "it does not understand the request",
    403: "it does not know this log's key",
    404: "it does not know this stream",
    _INCONSISTENT: "our consistency proof does not lead from what it has seen to this checkpoint",
}
_OTHERS: Final = "this journal was rewritten, restored from an older copy, or written by two"


class WitnessTarget:
    """The witness remembers the last checkpoint of each log; a fork is refused there."""

    near = True

    def __init__(self, options: WitnessOptions) -> None:
        """Take where the witness is, and its key."""
        self.name = f"witness {options.id}"
        self._url = options.url.rstrip("/") + "/add-checkpoint"
        self._vkey = Vkey.parse(options.vkey)
        self._known = 0

    async def seen(self, origin: str) -> str | None:  # noqa: ARG002 (as every place is asked)
        """Say nothing: a witness answers the first writing with the size that it has seen."""
        return None

    async def write(self, subject: Subject) -> Written:
        """Ask for a cosignature, with the proof from the size that the witness knows, and verify it.

        AnchorDoubt where the witness says that it has seen another history.
        """
        for _ in range(_ATTEMPTS):
            old = self._known  # the hourly writing and the last one before the end may come at once
            if old > subject.size:
                raise self._doubt(
                    f"has seen {old} records of this stream, here are {subject.size}",
                    old,
                    "this journal was restored from an older copy, or written by two",
                )
            answer = await self._ask(subject, old)
            if answer.status == _OK:
                self._known = subject.size
                note = self._cosigned(subject, answer.body)
                return Written(f"{self._url}, key {self._vkey.key_id}", note)
            if answer.status != _CONFLICT or answer.content_type != _SIZE_TYPE:
                said = f"answered {answer.status}: {_WHY.get(answer.status, 'for no known reason')}"
                if old and answer.status == _INCONSISTENT:
                    raise self._doubt(said, old, _OTHERS)
                raise self._failed(said)
            self._known = known = self._size(answer.body)
            if old == known == subject.size:
                raise self._doubt(f"has seen other records than ours among the first {old}", old, _OTHERS)
        raise self._failed("names another size each time it is asked")

    async def _ask(self, subject: Subject, old: int) -> Response:
        proof = await subject.consistency(old) if old else []
        hashes = "".join(f"{b64encode(step).decode()}\n" for step in proof)
        body = f"old {old}\n{hashes}\n{subject.note}"
        try:
            return await post(self._url, body.encode(), content_type="text/plain")
        except HTTPException as error:
            raise self._failed(f"does not speak HTTP: {error!r}") from None

    def _cosigned(self, subject: Subject, body: bytes) -> str:
        """Return the note with the witness's line; other lines of the answer are not ours to pass on."""
        try:
            text, separator, _ = subject.note.rpartition("\n\n")
            lines = Note.parse(text + separator + body.decode())
            if lines.signed_by(self._vkey) is None:
                raise self._failed("answered without a signature of its key")
            line = next(
                line
                for line in lines.signatures
                if (line.name, line.key_id) == (self._vkey.name, self._vkey.key_id)
            )
            return str(Note.parse(subject.note).with_signature(line))
        except (BadNote, UnicodeDecodeError) as error:
            raise self._failed(f"answered with no cosignature: {error}") from None

    def _size(self, body: bytes) -> int:
        text = body.strip()
        if not text.isdigit() or len(text) > _MAX_DIGITS or int(text) > MAX_INTEGER:
            raise self._failed("does not say which size it knows")
        return int(text)

    def _doubt(self, what: str, size: int, hint: str) -> AnchorDoubt:
        return AnchorDoubt(f"{self._url} {what}", hint=hint, size=size)

    def _failed(self, what: str, *, hint: str = "ask who runs the witness") -> AnchorFailed:
        return AnchorFailed(f"{self._url} {what}", hint=hint)
