"""Addresses on S3: `s3://bucket/prefix`."""

from __future__ import annotations

from dataclasses import dataclass

from aind_capsule.settings.s3_values import split_s3_url


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
    return S3Url(*split_s3_url(value))
