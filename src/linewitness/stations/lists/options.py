"""Settings of the lists that others own: where their files are, how old they may become, who signs them."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from linewitness.base.errors import EvidenceError
from linewitness.base.settings import FilePath, Options
from linewitness.evidence.format.note import ED25519, Vkey
from linewitness.stations.lists.book import LIST_NAMES, ListName


def _is_signer(text: str) -> str:
    try:
        vkey = Vkey.parse(text)
    except EvidenceError as error:
        raise ValueError(str(error)) from None
    if vkey.algorithm != ED25519:
        raise ValueError(
            "this is a key for cosignatures, of a store or a witness; a list is signed with a plain key"
        )
    return text


#: The public key of somebody who signs notes.
SignerKey = Annotated[str, AfterValidator(_is_signer)]


class ListOptions(Options):
    """One list: its file, how old it may become, and whose signature it must bear."""

    file: FilePath = Field(description="CSV that the list's owner writes and replaces.")
    max_age_h: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Hours after its issue for which the list counts; without it, it counts for ever.",
    )
    signed_by: SignerKey | None = Field(
        default=None,
        description="The owner's public key (vkey): the file must be a note that it has signed.",
    )


class LotListOptions(ListOptions):
    """The list of lots."""

    only_listed: bool = Field(default=False, description="Refuse a lot that is not in the list.")


class ListsOptions(Options):
    """Lists that others own, as files beside the YAML."""

    lots: LotListOptions | None = Field(default=None, description="Which lots are released or blocked.")
    calibrations: ListOptions | None = Field(default=None, description="Until when each tool is calibrated.")
    qualifications: ListOptions | None = Field(
        default=None, description="Who may work at which station, and until when."
    )
    routes: ListOptions | None = Field(
        default=None, description="Which stations a product passes, in their order."
    )

    @property
    def named(self) -> Mapping[ListName, ListOptions]:
        """The lists that the YAML names."""
        return {name: options for name in LIST_NAMES if (options := getattr(self, name)) is not None}
