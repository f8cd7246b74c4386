"""What the values of S3's and the upload's settings look like; as in `values`."""

from __future__ import annotations

import re
from typing import Any

from aind_capsule.settings.values import choose_word, parse_boolean, parse_file

CHECKSUMS = ("auto", "sha256", "crc32", "crc32c", "none")
# Compiled where they are used: few runs upload, and every start would pay.
_LABEL = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_ASSET_NAME = r"[^/\\\x00-\x1f\x7f]{1,256}"
#: A bucket's name (also older, looser ones), or the ARN of an access point.
_S3_URL = (
    r"(?as)s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,254}|arn:[A-Za-z0-9:._/-]+?accesspoint/[\w.-]+)"
    r"(?:/(?P<prefix>.*))?"
)


def parse_addressing_style(value: Any) -> str:
    """One of boto3's."""
    return choose_word(value, ("auto", "path", "virtual"))


def parse_checksum(value: Any) -> str:
    """A checksum of objects."""
    return choose_word(value, CHECKSUMS)


def parse_payer(value: Any) -> str:
    """Who pays for requests."""
    return choose_word(value, ("requester",))


def parse_verify(value: Any) -> bool | str:
    """Whether certificates are verified, or by which file.

    >>> parse_verify("no")
    False
    """
    try:
        return parse_boolean(value)
    except ValueError:
        return parse_file(value)


def split_s3_url(value: Any) -> tuple[str, str]:
    """Bucket and prefix of an address on S3.

    >>> split_s3_url("s3://aind-open-data/assets/")
    ('aind-open-data', 'assets')
    """
    match = re.fullmatch(_S3_URL, value.strip()) if isinstance(value, str) else None
    prefix = (match["prefix"] or "").strip("/") if match else ""
    if match is None or (prefix and not prefix.isprintable()):
        raise ValueError("an address such as s3://bucket/prefix")
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        raise ValueError("an address such as s3://bucket/prefix, without empty parts, `.` and `..`")
    return match["bucket"], prefix


def parse_s3_url(value: Any) -> str:
    """An address on S3, as it is written."""
    bucket, prefix = split_s3_url(value)
    return f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"


def parse_asset_name(value: Any) -> str:
    """The name of a data asset: one part of a key."""
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(_ASSET_NAME, text) or text in (".", "..") or text != text.strip():
        raise ValueError("a name without slashes, at most 256 characters")
    return text


def parse_on_failure(value: Any) -> str:
    """What is uploaded of a run that failed."""
    return choose_word(value, ("never", "logs", "all"))


def parse_label(value: Any) -> str:
    """What a derived asset's name says of a step.

    >>> parse_label("sorted-ks4")
    'sorted-ks4'
    """
    text = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(_LABEL, text):
        raise ValueError("letters, digits, `.`, `_` and `-`, at most 64")
    return text
