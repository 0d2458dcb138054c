"""Count the starts of a gateway in the TPM, and have the TPM sign the number (docs/format.md, section 9.2).

TPM 2.0 Library, part 3: TPM2_NV_DefineSpace, TPM2_NV_Increment, TPM2_NV_Certify, TPM2_CreatePrimary.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.evidence.tpm.quote import COUNTER, ECDSA_KEY, StartQuote, qualifying
from linewitness.tpm.options import FIRST_INDEX, LAST_INDEX, TpmOptions

#: A TPM answers within seconds; making its key takes the longest.
TIMEOUT_S: Final = 30.0
_COUNTER_BYTES: Final = 8
#: "the handle is not correct for the use": nothing is defined at this index.
_NOT_DEFINED: Final = 0x18B
#: The key: ECDSA over P-256 with SHA-256; the TPM makes the same one each time and never gives it away.
_KEY: Final = "ecc256:ecdsa-sha256:null"


class TpmFailed(LinewitnessError):
    """The TPM did not count: the gateway runs without, and says so on record."""

    exit_code = ExitCode.REFUSED


class StartCounter:
    """The TPM's counter of one line."""

    def __init__(self, options: TpmOptions, *, line: str) -> None:
        """Take how the TPM is reached; `line` names the line for ever, over all generations of its stream."""
        self._options = options
        self._index = options.index or _index_of(line)

    async def count(self, stream: str, prev_hash: str) -> StartQuote:
        """Add one, and return the TPM's word of it, bound to a place in a stream; TpmFailed otherwise.

        The number is used up even if nobody gets to hear of it. A TPM that hangs is given up after
        `TIMEOUT_S`; its thread ends with the process.
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await asyncio.to_thread(self._count, qualifying(stream, prev_hash))
        except TimeoutError:
            raise TpmFailed(
                f"the TPM at {self._options.tcti} does not answer within {TIMEOUT_S:g} s",
                hint="look at the machine's firmware settings, or remove `tpm` from the YAML",
            ) from None

    def _count(self, bound_to: bytes) -> StartQuote:
        try:
            import tpm2_pytss as tss  # noqa: PLC0415 (an extra: only a line that names a TPM needs it)
        except ImportError:
            raise TpmFailed(
                "the TPM's library is not installed",
                hint="install the Debian package libtss2-dev and linewitness[tpm]",
            ) from None
        _silence()
        try:
            with _connected(tss, self._options.tcti) as tpm:
                if self._options.owner_auth is not None:
                    tpm.tr_set_auth(tss.ESYS_TR.OWNER, self._options.owner_auth.read())
                counter = self._counter(tss, tpm)
                tpm.nv_increment(counter, auth_handle=counter)
                return self._certified(tss, tpm, counter, bound_to)
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

    def _certified(self, tss: Any, tpm: Any, counter: Any, bound_to: bytes) -> StartQuote:
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
        try:
            attested, signature = tpm.nv_certify(
                key,
                counter,
                qualifying_data=tss.TPM2B_DATA(bound_to),
                in_scheme=tss.TPMT_SIG_SCHEME(scheme=tss.TPM2_ALG.NULL),
                size=_COUNTER_BYTES,
                offset=0,
                auth_handle=counter,
            )
            described, _ = tpm.nv_read_public(counter)
        finally:
            tpm.flush_context(key)
        point = public.publicArea.unique.ecc
        numbers = (
            int.from_bytes(bytes(number), "big")
            for number in (signature.signature.ecdsa.signatureR, signature.signature.ecdsa.signatureS)
        )
        return StartQuote(
            attested=bytes(attested),
            signature=encode_dss_signature(*numbers),
            key=ECDSA_KEY + bytes(point.x).rjust(32, b"\0") + bytes(point.y).rjust(32, b"\0"),
            index=described.nvPublic.marshal(),
        )


def _index_of(line: str) -> int:
    """Return a place of the owner's for this line: the same one for ever, another one for another line."""
    digest = hashlib.sha256(line.encode()).digest()
    return FIRST_INDEX + int.from_bytes(digest[:4], "big") % (LAST_INDEX - FIRST_INDEX + 1)


@contextmanager
def _connected(tss: Any, tcti: str) -> Iterator[Any]:
    tpm = tss.ESAPI(tcti=tcti)
    try:
        yield tpm
    finally:
        tpm.close()


def _silence() -> None:
    """Keep the C library from writing to standard error; what it raises says the same."""
    os.environ.setdefault("TSS2_LOG", "all+NONE")
    logging.getLogger("tpm2_pytss").setLevel(logging.ERROR)
