"""What the YAML says of anchors and witnesses."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from linewitness.base.errors import EvidenceError
from linewitness.base.secrets import Secret
from linewitness.base.settings import FilePath, Identifier, Options, check_authority
from linewitness.evidence.format.note import COSIGNATURE_V1, Vkey
from linewitness.uplink.options import MqttOptions


def _is_cosigner(text: str) -> str:
    try:
        vkey = Vkey.parse(text)
    except EvidenceError as error:
        raise ValueError(str(error)) from None
    if vkey.algorithm != COSIGNATURE_V1:
        raise ValueError("this is the key of a log; a store or a witness signs with a cosignature key")
    return text


def _is_url(text: str) -> str:
    check_authority(urlsplit(text))
    return text


#: Where something is posted to.
Url = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_is_url)]
#: The public key of a party that cosigns checkpoints: a store or a witness.
CosignatureKey = Annotated[str, AfterValidator(_is_cosigner)]


class DirectoryOptions(Options):
    """A folder on write-once media: each checkpoint becomes a new file."""

    id: Identifier = Field(description="Name of the place.")
    path: FilePath = Field(
        description="The folder; it must be there already, so that a missing medium is noticed."
    )


class BucketOptions(Options):
    """An S3 bucket with Object Lock: each checkpoint becomes an object that nobody can delete."""

    id: Identifier = Field(description="Name of the place.")
    bucket: str = Field(min_length=3, max_length=63, description="The bucket; Object Lock must be enabled.")
    prefix: str = Field(default="", max_length=200, description="In front of each object's key.")
    endpoint: str | None = Field(default=None, description="URL of an S3 that is not Amazon's.")
    region: str | None = Field(default=None, description="The bucket's region.")
    keep_days: int = Field(
        default=3650, ge=1, description="Days for which each object is locked, in compliance mode."
    )
    access_key: Secret | None = Field(
        default=None, description="The access key's id; without it, boto3 looks where it always does."
    )
    secret_key: Secret | None = Field(default=None, description="The secret that belongs to the access key.")


class TimeStampOptions(Options):
    """A time-stamping authority (RFC 3161), which signs a checkpoint's hash with its own time."""

    id: Identifier = Field(description="Name of the authority.")
    url: Url = Field(description="Where requests are posted to.")
    roots: FilePath = Field(
        description="PEM file with the root certificates that the authority's must lead to."
    )


class WitnessOptions(Options):
    """A C2SP witness, which cosigns only what is consistent with all that it has seen before."""

    id: Identifier = Field(description="Name of the witness.")
    url: Url = Field(description="Its submission prefix, without add-checkpoint.")
    vkey: CosignatureKey = Field(description="The witness's public key, as it publishes it.")


class BrokerOptions(MqttOptions):
    """A second broker, best one in other hands: each checkpoint is published there, retained."""

    id: Identifier = Field(description="Name of the place.")
    prefix: str = Field(
        default="linewitness/anchors/v1",
        pattern=r"^[^+#/\x00][^+#\x00]*[^+#/\x00]$",
        max_length=200,
        description="In front of the stream's origin in the topic.",
    )


class AnchorOptions(Options):
    """Where checkpoints are anchored, and how often."""

    every_h: float = Field(
        default=1.0, gt=0, le=24, description="Hours between two anchors; also at shutdown and on demand."
    )
    timeout_s: float = Field(default=30.0, gt=0, le=300, description="How long one place may take.")
    directories: tuple[DirectoryOptions, ...] = Field(default=(), description="Write-once media.")
    buckets: tuple[BucketOptions, ...] = Field(default=(), description="S3 buckets with Object Lock.")
    time_stamps: tuple[TimeStampOptions, ...] = Field(default=(), description="RFC 3161 authorities.")
    witnesses: tuple[WitnessOptions, ...] = Field(default=(), description="C2SP witnesses.")

    brokers: tuple[BrokerOptions, ...] = Field(default=(), description="Other brokers than the store's.")

    @property
    def named(self) -> int:
        """How many places there are."""
        places = (self.directories, self.buckets, self.time_stamps, self.witnesses, self.brokers)
        return sum(map(len, places))
