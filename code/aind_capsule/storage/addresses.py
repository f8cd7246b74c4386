"""Addresses on S3: `s3://bucket/prefix`."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: A bucket's name (also older, looser ones), or the ARN of an access point.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}|arn:[A-Za-z0-9:._/-]+?accesspoint/[\w.-]+")
_URL = re.compile(rf"s3://(?P<bucket>{_BUCKET.pattern})(?:/(?P<prefix>.*))?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class S3Url:
    """A place on S3.

    Attributes:
        bucket: The bucket's name, or the ARN of an access point.
        prefix: What keys begin with, without slashes around it; empty for the whole bucket.
    """

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    def join(self, name: str) -> S3Url:
        """A place below this one.

        >>> str(S3Url("b").join("assets").join("a_1"))
        's3://b/assets/a_1'
        """
        return S3Url(self.bucket, f"{self.prefix}/{name}" if self.prefix else name)

    @property
    def folder(self) -> str:
        """What keys below this place begin with."""
        return f"{self.prefix}/" if self.prefix else ""


def parse_s3_url(value: object) -> S3Url:
    """Read an address.

    Raises:
        ValueError: It is none; the message says what was expected.

    >>> parse_s3_url("s3://aind-open-data/assets/")
    S3Url(bucket='aind-open-data', prefix='assets')
    """
    match = _URL.fullmatch(value.strip()) if isinstance(value, str) else None
    prefix = (match["prefix"] or "").strip("/") if match else ""
    if match is None or (prefix and not prefix.isprintable()):
        raise ValueError("an address such as s3://bucket/prefix")
    parts = prefix.split("/")
    if prefix and any(part in ("", ".", "..") for part in parts):
        raise ValueError("an address such as s3://bucket/prefix, without empty parts, `.` and `..`")
    return S3Url(match["bucket"], prefix)
