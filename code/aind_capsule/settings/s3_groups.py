"""The groups of the settings' table that S3 and the upload of results have."""

from __future__ import annotations

from typing import Any

from aind_capsule.frozen import frozen
from aind_capsule.settings import durations, s3_values, values
from aind_capsule.settings.row import setting


@frozen
class S3Settings:
    """How objects are written to S3; credentials are found as boto3 finds them."""

    endpoint_url: str | None = setting(
        None,
        values.parse_http_url,
        "S3 server that is not AWS's; by default what boto3 finds (`AWS_ENDPOINT_URL`).",
        form="http or https url",
    )
    region_name: str | None = setting(
        None, values.parse_text, "The bucket's region; by default the bucket is asked."
    )
    addressing_style: str = setting(
        "auto",
        s3_values.parse_addressing_style,
        "Where the bucket's name stands: in the path, or before the server's name.",
        form="`auto`, `path` or `virtual`",
    )
    verify: bool | str = setting(
        True,
        s3_values.parse_verify,
        "Whether the server's certificate is verified, or the file of the authorities that it is"
        " trusted by (also `AWS_CA_BUNDLE`).",
        form="boolean, or a file",
    )
    checksum: str = setting(
        "auto",
        s3_values.parse_checksum,
        "Checksum that objects are sent and kept with; `auto` does without where a server cannot.",
        form="`auto`, `sha256`, `crc32`, `crc32c` or `none`",
    )
    max_concurrency: int = setting(
        16, values.parse_concurrency, "Requests at the same time.", form="1 to 256"
    )
    retry_for: float = setting(
        300.0,
        durations.parse_duration,
        "How long requests that fail for a while are sent again: counted from the last one that"
        " succeeded.",
        form="seconds, or `2m`",
    )
    server_side_encryption: str | None = setting(
        None, values.parse_text, "Encryption at rest, such as `AES256` or `aws:kms`."
    )
    sse_kms_key_id: str | None = setting(None, values.parse_text, "Key of AWS KMS for it.")
    storage_class: str | None = setting(
        None, values.parse_text, "Storage class, such as `INTELLIGENT_TIERING`."
    )
    acl: str | None = setting(
        None, values.parse_text, "Canned ACL, such as `bucket-owner-full-control`."
    )
    tagging: dict[str, Any] = setting(
        {}, values.parse_fields, "Tags of every object.", form="table, or `name=value` pairs"
    )
    request_payer: str | None = setting(
        None, s3_values.parse_payer, "Who pays for requests, if not the owner.", form="`requester`"
    )


@frozen
class UploadSettings:
    """Results to S3."""

    url: str | None = setting(
        None,
        s3_values.parse_s3_url,
        "Below which the results of a run become a data asset. Not set: nothing is uploaded.",
        flag="--upload",
        form="`s3://bucket/prefix`",
        is_fatal=True,
    )
    asset_name: str | None = setting(
        None,
        s3_values.parse_asset_name,
        "Name of that asset, where the inputs do not tell it.",
        flag="--asset-name",
        is_fatal=True,
    )
    on_failure: str = setting(
        "logs",
        s3_values.parse_on_failure,
        "What is uploaded of a run that failed, below `failed/`: nothing, its run files, or all.",
        form="`never`, `logs` or `all`",
    )
    required: bool | None = setting(
        None,
        values.parse_boolean,
        "Whether an upload that is not whole makes a run that succeeded end with 74; by default"
        " yes, and no inside a pipeline task.",
        form="boolean",
    )
    label: str = setting(
        "processed",
        s3_values.parse_label,
        "What the name of a derived data asset says of the step: `<input>_<label>_<time>`.",
        form="letters, digits, `.`, `_`, `-`",
    )
    content_types: dict[str, Any] = setting(
        {},
        values.parse_fields,
        "Content types by ending of the file's name, such as `.nwb = application/x-hdf5`; others"
        " are guessed.",
        form="table, or `name=value` pairs",
    )
