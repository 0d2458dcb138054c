"""Anchor checkpoints in an S3 bucket with Object Lock in compliance mode."""

import asyncio
import datetime as dt
from typing import Any, Final

from linewitness.anchors.base import AnchorFailed, Subject, Written
from linewitness.anchors.options import BucketOptions
from linewitness.base.clock import NS_PER_S, Clock

_TIMEOUT_S: Final = 20
_MODE: Final = "COMPLIANCE"


class BucketTarget:
    """Each checkpoint is an object whose oldest version counts: that one nobody can delete or replace."""

    near = False

    def __init__(self, options: BucketOptions, *, clock: Clock) -> None:
        """Take where the bucket is; nothing is connected yet."""
        self.name = f"bucket {options.id}"
        self._options = options
        self._clock = clock

    async def seen(self, origin: str) -> str | None:  # noqa: ARG002 (as every place is asked)
        """Say nothing: the access key may be one that writes, and need not be allowed to list the bucket."""
        return None

    async def write(self, subject: Subject) -> Written:
        """Put a locked object, then read back its oldest version and its lock."""
        return await asyncio.to_thread(self._write, subject)

    def _write(self, subject: Subject) -> Written:
        try:
            import boto3  # noqa: PLC0415 (the extra `s3`)
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        except ImportError:
            raise AnchorFailed("boto3 is not installed", hint="pip install 'linewitness[s3]'") from None
        try:
            return self._put(self._client(boto3), subject)
        except (BotoCoreError, ClientError) as error:
            raise AnchorFailed(
                f"the bucket {self._options.bucket} did not take the checkpoint: {error}",
                hint="check the bucket's name and region, its Object Lock, and what the access key may do",
            ) from None

    def _put(self, client: Any, subject: Subject) -> Written:
        bucket, key, data = (
            self._options.bucket,
            self._options.prefix + subject.file_name,
            subject.note.encode(),
        )
        now = dt.datetime.fromtimestamp(self._clock.stamp().realtime_ns // NS_PER_S, dt.UTC)
        until = now + dt.timedelta(days=self._options.keep_days)
        client.put_object(
            Bucket=bucket,
            Key=key,
            Body=data,
            ContentType="text/plain; charset=utf-8",
            ChecksumAlgorithm="SHA256",
            ObjectLockMode=_MODE,
            ObjectLockRetainUntilDate=until,
        )
        version = _oldest_version(client, bucket, key)
        held = client.get_object(Bucket=bucket, Key=key, VersionId=version)
        where = f"s3://{bucket}/{key}?versionId={version}"
        if held["Body"].read() != data:
            raise AnchorFailed(
                f"{where} was there already, with another content",
                hint="keep it: it may be the anchor of another history of this stream",
            )
        if held.get("ObjectLockMode") != _MODE or held["ObjectLockRetainUntilDate"] <= now:
            raise AnchorFailed(
                f"{where} is not locked in compliance mode", hint="enable Object Lock on the bucket"
            )
        return Written(where, subject.note)

    def _client(self, boto3: Any) -> Any:
        from botocore.config import Config  # noqa: PLC0415 (the extra `s3`)

        options = self._options
        return boto3.client(
            "s3",
            endpoint_url=options.endpoint,
            region_name=options.region,
            aws_access_key_id=options.access_key.read() if options.access_key else None,
            aws_secret_access_key=options.secret_key.read() if options.secret_key else None,
            config=Config(
                connect_timeout=_TIMEOUT_S,
                read_timeout=_TIMEOUT_S,
                retries={"max_attempts": 2},
                s3={"addressing_style": "path" if options.endpoint else "auto"},
            ),
        )


def _oldest_version(client: Any, bucket: str, key: str) -> str:
    """Return the version that was there first; S3 lists them newest first."""
    version = ""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        for one in page.get("Versions", ()):
            if one["Key"] == key:
                version = one["VersionId"]
    if not version:
        raise AnchorFailed(f"s3://{bucket}/{key} is not there although it was taken", hint="ask who runs S3")
    return version
