"""What the YAML says of the TPM."""

from typing import Final

from pydantic import Field

from linewitness.base.secrets import Secret
from linewitness.base.settings import Options

#: The indices that belong to the owner of the machine (TCG registry of reserved handles).
FIRST_INDEX: Final = 0x0180_0000
LAST_INDEX: Final = 0x01BF_FFFF


class TpmOptions(Options):
    """A TPM 2.0 that counts the starts of the gateway, so that a journal restored from a copy is found."""

    tcti: str = Field(
        default="device:/dev/tpmrm0",
        min_length=1,
        max_length=200,
        description="How the TPM is reached, as the TPM software stack (tpm2-tss) names it.",
    )
    index: int | None = Field(
        default=None,
        ge=FIRST_INDEX,
        le=LAST_INDEX,
        description="Where the TPM keeps the counter, 0x01800000 to 0x01BFFFFF; without it a place that "
        "follows from line.tenant, line.plant, line.line and line.gateway.",
    )
    owner_auth: Secret | None = Field(
        default=None, description="The owner's authorization, where the TPM has one."
    )
