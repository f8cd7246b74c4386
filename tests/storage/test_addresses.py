"""Addresses on S3."""

from __future__ import annotations

import pytest

from aind_capsule.storage.addresses import S3Url, parse_s3_url


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        (" s3://b.u-c_k/a/b c/ ", "b.u-c_k", "a/b c"),
        ("s3://arn:aws:s3:us-west-2:1234:accesspoint/lab/x", "arn:aws:s3:us-west-2:1234:accesspoint/lab", "x"),
    ],
)  # fmt: skip
def test_addresses(text: str, bucket: str, prefix: str) -> None:
    """Bucket and prefix, without slashes around it."""
    assert parse_s3_url(text) == S3Url(bucket, prefix)


@pytest.mark.parametrize("text", ["", "bucket/x", "http://b/x", "s3://", "s3:///x", "s3://b//x", "s3://b/a/../c", "s3://b/./c", "s3://b/a\nc", "s3://-b/x", None, 3])  # fmt: skip
def test_what_is_no_address(text: object) -> None:
    """It is refused, with what was expected."""
    with pytest.raises(ValueError, match="s3://bucket/prefix"):
        parse_s3_url(text)


def test_places_below() -> None:
    """A place below a place, and what keys begin with there."""
    assert S3Url("b").folder == ""
    assert S3Url("b").join("x").join("y").folder == "x/y/"
    assert str(S3Url("b", "x")) == "s3://b/x"
