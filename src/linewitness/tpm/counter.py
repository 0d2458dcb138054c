"""Count the starts of a gateway in the TPM, and have the TPM sign the number (docs/format.md, section 9.2).

TPM 2.0 Library, part 3: TPM2_NV_DefineSpace, TPM2_NV_Increment, TPM2_NV_Certify, TPM2_CreatePrimary.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.base.threads import in_daemon_thread
from linewitness.evidence.tpm.quote import COUNTER, ECDSA_KEY, StartQuote, qualifying
from linewitness.tpm.options import FIRST_INDEX, LAST_INDEX, TpmOptions

#: A TPM answers within seconds; making its key takes the longest.
TIMEOUT_S: Final = 10.0
_COUNTER_BYTES: Final = 8
_MOST_AUTH_BYTES: Final = 32
#: "the handle is not correct for the use": nothing is defined at this index.
_NOT_DEFINED: Final = 0x18B
#: The key: ECDSA over P-256 with SHA-256; the TPM makes the same one each time and never gives it away.
_KEY: Final = "ecc256:ecdsa-sha256:null"

T = TypeVar("T")


class TpmFailed(LinewitnessError):
    """The TPM did not count: the gateway runs without, and says so on record."""

    exit_code = ExitCode.REFUSED


class StartCounter:
    """The TPM's counter of one line."""

    def __init__(self, options: TpmOptions, *, line: str) -> None:
        """Take how the TPM is reached; `line` names the line for ever, over all generations of its stream."""
        self._options = options
        self._index = options.index or _index_of(line)
        self._session: _Session | None = None

    async def count(self) -> None:
        """Add one; TpmFailed if that is not possible.

        What can fail is done before, so that no number is used up in vain. A TPM that hangs is given up
        after `TIMEOUT_S`.
        """
        await self._patiently(self._count)

    async def quote(self, stream: str, prev_hash: str) -> StartQuote:
        """Return the TPM's word of where the counter stands, bound to a place in a stream.

        To be asked once after `count`, and then at once: what is written meanwhile moves the place.
        TpmFailed if there is none.
        """
        bound_to = qualifying(stream, prev_hash)
        return await self._patiently(lambda: self._quote(bound_to))

    async def _patiently(self, call: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await in_daemon_thread(call, "tpm")
        except TimeoutError:
            raise TpmFailed(
                f"the TPM at {self._options.tcti} does not answer within {TIMEOUT_S:g} s",
                hint="look at the machine's firmware settings, or remove `tpm` from the YAML",
            ) from None

    def _count(self) -> None:
        try:
            import tpm2_pytss as tss  # noqa: PLC0415 (an extra: only a line that names a TPM needs it)
        except ImportError:
            raise TpmFailed(
                "the TPM's library is not installed",
                hint="install the Debian package libtss2-dev and linewitness[tpm]",
            ) from None
        _silence()
        owner_auth = self._owner_auth
        with self._refusals(tss):
            tpm = tss.ESAPI(tcti=self._options.tcti)
            try:
                tpm.tr_set_auth(tss.ESYS_TR.OWNER, owner_auth)
                counter, (key, public) = self._counter(tss, tpm), _new_key(tss, tpm)
                tpm.nv_increment(counter, auth_handle=counter)
            except BaseException:
                tpm.close()
                raise
        self._session = _Session(tss, tpm, counter, key, public)

    def _quote(self, bound_to: bytes) -> StartQuote:
        session, self._session = self._session, None
        if session is None:
            raise TpmFailed("the TPM has not counted", hint="the log says why")
        with self._refusals(session.tss):
            try:
                return session.certified(bound_to)
            finally:
                session.tpm.flush_context(session.key)
                session.tpm.close()

    @property
    def _owner_auth(self) -> str:
        secret = self._options.owner_auth
        try:
            text = secret.read() if secret else ""
        except LinewitnessError as error:
            raise TpmFailed(f"tpm.owner_auth: {error.what}", hint=error.hint) from None
        if len(text.encode()) > _MOST_AUTH_BYTES:
            raise TpmFailed(
                f"tpm.owner_auth has more than {_MOST_AUTH_BYTES} bytes", hint="is it the right file?"
            )
        return text

    @contextmanager
    def _refusals(self, tss: Any) -> Iterator[None]:
        try:
            yield
        except tss.TSS2_Exception as error:
            raise TpmFailed(
                f"the TPM at {self._options.tcti} refused: {error} (0x{error.rc:x})",
                hint="may the service use /dev/tpmrm0 (group tss)? is tpm.owner_auth right? "
                "does something else use the index?",
            ) from None

    def _counter(self, tss: Any, tpm: Any) -> Any:
        """Return the handle of the counter, which is made at the first start."""
        try:
            return tpm.tr_from_tpmpublic(self._index)
        except tss.TSS2_Exception as error:
            if error.rc != _NOT_DEFINED:
                raise
        attributes = tss.TPMA_NV(
            tss.TPMA_NV.OWNERWRITE
            | tss.TPMA_NV.OWNERREAD
            | tss.TPMA_NV.AUTHWRITE
            | tss.TPMA_NV.AUTHREAD
            | (COUNTER << tss.TPMA_NV.TPM2_NT_SHIFT)
        )
        public = tss.TPMS_NV_PUBLIC(
            nvIndex=self._index, nameAlg=tss.TPM2_ALG.SHA256, attributes=attributes, dataSize=_COUNTER_BYTES
        )
        return tpm.nv_define_space(None, tss.TPM2B_NV_PUBLIC(nvPublic=public))


@dataclass(frozen=True, slots=True)
class _Session:
    """A TPM that has counted and is about to be asked for its word; all of it is the library's."""

    tss: Any
    tpm: Any
    counter: Any
    key: Any
    public: Any

    def certified(self, bound_to: bytes) -> StartQuote:
        tss, tpm = self.tss, self.tpm
        attested, signature = tpm.nv_certify(
            self.key,
            self.counter,
            qualifying_data=tss.TPM2B_DATA(bound_to),
            in_scheme=tss.TPMT_SIG_SCHEME(scheme=tss.TPM2_ALG.NULL),
            size=_COUNTER_BYTES,
            offset=0,
            auth_handle=self.counter,
        )
        described, _ = tpm.nv_read_public(self.counter)
        point, made = self.public.publicArea.unique.ecc, signature.signature.ecdsa
        numbers = (int.from_bytes(bytes(number), "big") for number in (made.signatureR, made.signatureS))
        return StartQuote(
            attested=bytes(attested),
            signature=encode_dss_signature(*numbers),
            key=ECDSA_KEY + bytes(point.x).rjust(32, b"\0") + bytes(point.y).rjust(32, b"\0"),
            index=described.nvPublic.marshal(),
        )


def _new_key(tss: Any, tpm: Any) -> tuple[Any, Any]:
    """Return the handle and the public part of the key, which signs nothing but what the TPM has made."""
    restricted = (
        tss.TPMA_OBJECT.FIXEDTPM
        | tss.TPMA_OBJECT.FIXEDPARENT
        | tss.TPMA_OBJECT.SENSITIVEDATAORIGIN
        | tss.TPMA_OBJECT.USERWITHAUTH
        | tss.TPMA_OBJECT.SIGN_ENCRYPT
        | tss.TPMA_OBJECT.RESTRICTED
    )
    template = tss.TPM2B_PUBLIC.parse(_KEY, objectAttributes=restricted, nameAlg="sha256")
    key, public, *_ = tpm.create_primary(tss.TPM2B_SENSITIVE_CREATE(), template)
    return key, public


def _index_of(line: str) -> int:
    """Return a place of the owner's for this line: the same one for ever, another one for another line."""
    digest = hashlib.sha256(line.encode()).digest()
    return FIRST_INDEX + int.from_bytes(digest[:4], "big") % (LAST_INDEX - FIRST_INDEX + 1)


def _silence() -> None:
    """Keep the C library from writing to standard error; what it raises says the same."""
    os.environ.setdefault("TSS2_LOG", "all+NONE")
    logging.getLogger("tpm2_pytss").setLevel(logging.ERROR)
