"""The groups of the settings' table, and what a row of it is made of.

A new setting is one field, here or in `model.Settings`; the docs page, `capsule settings` and the
readers of files and environment follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aind_capsule.settings import values
from aind_capsule.settings.secret import Secret


def setting(
    default: Any,
    parse: Callable[[Any], Any],
    description: str,
    *,
    env: tuple[str, ...] = (),
    flag: str = "",
    form: str = "text",
    is_fatal: bool = False,
    file_only: bool = False,
    is_secret: bool = False,
) -> Any:
    """A row of the table.

    Args:
        default: The value where no source gives one.
        parse: Turns a flag's or a variable's text, or a file's value, into the setting's value;
            raises ValueError with what was expected.
        description: What it does, for people.
        env: Further variables that are honoured as they are, after `CAPSULE_…`.
        flag: The option of `capsule run` that sets it.
        form: What a value looks like, for people.
        is_fatal: Whether a wrong value ends `capsule run` with 78 before the start; any other
            wrong value is an ERROR, and the default holds; in a group with a `SWITCH`, which is
            the name of the setting that turns it on, the group is off.
        file_only: Whether only `capsule.toml` may set it.
        is_secret: Whether it is never shown, and never read from a `capsule.toml`; `parse` then
            makes `Secret`s.
    """
    meta = {
        "parse": parse, "description": description, "env": env, "flag": flag, "form": form,
        "is_fatal": is_fatal, "file_only": file_only, "is_secret": is_secret,
    }  # fmt: skip
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=meta)
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The log file."""

    level: str = setting(
        "DEBUG", values.parse_level, "Lowest level that the log file takes.", form="level"
    )
    max_bytes: int | None = setting(
        None,
        values.parse_size,
        "Largest size of the log file; records beyond it are dropped and counted.",
        form="bytes, or `500 MB`, `2 GiB`",
    )


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """What the wrapper itself prints on stderr."""

    mode: str = setting(
        "pretty",
        values.parse_console_mode,
        "Banners and records from inside on stderr: readable with colours, plain, as JSON, or off.",
        flag="--console",
        form="`pretty`, `plain`, `json` or `off`",
    )
    level: str = setting(
        "INFO", values.parse_level, "Lowest level that is printed on stderr.", form="level"
    )


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The session file: the log for people."""

    enabled: bool = setting(
        False,
        values.parse_boolean,
        "Whether the run also writes `….log.txt`, the log for people, with banners.",
        flag="--session",
        form="boolean",
    )
    level: str = setting(
        "INFO", values.parse_level, "Lowest level that the session file takes.", form="level"
    )


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """The run folders that stay in scratch."""

    keep_days: float = setting(
        30.0,
        values.parse_days,
        "Days after which a finished run's folder in scratch is removed; 0 keeps all.",
        form="days",
    )


@dataclass(frozen=True, slots=True)
class RedactSettings:
    """What is hidden besides the usual secrets."""

    fields: tuple[str, ...] = setting(
        (),
        values.parse_names,
        "Further names of fields, options and parameters whose values are secret.",
        form="list of names",
    )
    patterns: tuple[re.Pattern[str], ...] = setting(
        (),
        values.parse_patterns,
        "Regular expressions of further secrets; of one with a group `secret` only the group is"
        " hidden.",
        form="list of expressions; in a variable one a line",
    )
    values_from_env: tuple[str, ...] = setting(
        (),
        values.parse_names,
        "Further environment variables whose values are secret, by name or such as `LAB_*`.",
        form="list of names",
    )
    output: bool = setting(
        False,
        values.parse_boolean,
        "Hide secrets in the processing's own output too, as it is passed on, line by line;"
        " otherwise only in records and files.",
        flag="--redact-output",
        form="boolean",
    )


@dataclass(frozen=True, slots=True)
class ShippingSettings:
    """How the log is delivered, to whichever server."""

    deadline: float | None = setting(
        None,
        values.parse_grace,
        "Time that delivery of the log may take at a run's end; by default 30 s, inside a pipeline"
        " task 120 s while the server takes records. 0 does not wait; `capsule push` then does it.",
        form="seconds, or `2m`",
    )
    labels: tuple[str, ...] = setting(
        ("pipeline_name", "process_name"),
        values.parse_labels,
        "Labels of the log's stream, besides `service_name`: fields of the record, or fixed ones"
        " such as `environment=prod`. Few, and with few values each.",
        form="list of names and `name=text`",
    )
    metadata: tuple[str, ...] = setting(
        (
            "level", "run_id", "event_type", "subject_id", "acquisition_name", "specimen_id",
            "instrument_id", "rig_id", "capsule_id", "computation_id", "pipeline_id",
            "experiment_id",
        ),
        values.parse_names,
        "Fields that servers index beside the line.",
        form="list of names",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LokiSettings:
    """The Loki that the log is delivered to."""

    SWITCH: ClassVar[str] = "url"
    url: str | None = setting(
        None,
        values.parse_http_url,
        "Loki that the log is delivered to: the server, or its whole push path. Not set: off.",
        form="http or https url",
    )
    user: str | None = setting(None, values.parse_text, "User for basic authorization.")
    password: Secret | None = setting(
        None,
        values.parse_secret,
        "Password for basic authorization.",
        form="secret",
        is_secret=True,
    )
    token: Secret | None = setting(
        None, values.parse_secret, "Token for bearer authorization.", form="secret", is_secret=True
    )
    tenant: str | None = setting(None, values.parse_text, "Tenant, sent as `X-Scope-OrgID`.")
    headers: dict[str, Secret] = setting(
        {},
        values.parse_headers,
        "Further headers of every request.",
        form="secret: `name=value` pairs, with commas or one a line",
        is_secret=True,
    )
    timeout: float = setting(
        10.0,
        values.parse_duration,
        "Time that a request may take in all.",
        form="seconds",
    )
    verify: bool = setting(
        True,
        values.parse_boolean,
        "Whether the server's certificate is verified.",
        form="boolean",
    )
    ca_file: str | None = setting(
        None,
        values.parse_file,
        "Certificates of the authorities that the server's is trusted by, instead of the system's.",
        form="file",
    )
    client_cert: str | None = setting(
        None, values.parse_file, "Certificate that is shown to the server.", form="file"
    )
    client_key: str | None = setting(
        None,
        values.parse_file,
        "Its key, where it is not in the same file.",
        form="file",
    )


@dataclass(frozen=True, slots=True)
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
        values.parse_addressing_style,
        "Where the bucket's name stands: in the path, or before the server's name.",
        form="`auto`, `path` or `virtual`",
    )
    verify: bool | str = setting(
        True,
        values.parse_verify,
        "Whether the server's certificate is verified, or the file of the authorities that it is"
        " trusted by (also `AWS_CA_BUNDLE`).",
        form="boolean, or a file",
    )
    checksum: str = setting(
        "auto",
        values.parse_checksum,
        "Checksum that objects are sent and kept with; `auto` does without where a server cannot.",
        form="`auto`, `sha256` or `none`",
    )
    max_concurrency: int = setting(
        16, values.parse_concurrency, "Requests at the same time.", form="1 to 256"
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
        None, values.parse_payer, "Who pays for requests, if not the owner.", form="`requester`"
    )


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """Results to S3."""

    url: str | None = setting(
        None,
        values.parse_s3_url,
        "Below which the results of a run become a data asset. Not set: nothing is uploaded.",
        flag="--upload",
        form="`s3://bucket/prefix`",
        is_fatal=True,
    )
    asset_name: str | None = setting(
        None,
        values.parse_asset_name,
        "Name of that asset, where the inputs do not tell it.",
        flag="--asset-name",
        is_fatal=True,
    )
    on_failure: str = setting(
        "logs",
        values.parse_on_failure,
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
        values.parse_label,
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


@dataclass(frozen=True, slots=True)
class ProvenanceSettings:
    """What a run's `…_data_process.json` says that nobody can see from outside."""

    process_type: str | None = setting(
        None,
        values.parse_text,
        "Process type of aind-data-schema, such as `Spike sorting`; by default the one that the"
        " process is named for.",
    )
    stage: str | None = setting(
        None,
        values.parse_stage,
        "Stage of the processing; by default `Processing`, or `Analysis` for that process type.",
        form="`Processing` or `Analysis`",
    )
    code_url: str | None = setting(
        None, values.parse_text, "Where the code is; by default what git or the platform says."
    )
    code_version: str | None = setting(
        None, values.parse_text, "Version of the code; by default its tag, where it is known."
    )
    container: str | None = setting(
        None, values.parse_text, "Image that the processing runs in, with its tag.", form="image"
    )
    schema_version: int = setting(
        2,
        values.parse_schema_version,
        "Version of aind-data-schema that the record is written for.",
        form="`1` or `2`",
    )
    carry_metadata: str | None = setting(
        None,
        values.parse_carried,
        "Copy subject, procedures, acquisition or session, instrument or rig of the input into"
        " results: those that all inputs agree on, or those of the one that is named.",
        form="`true`, `false`, or the name of an input data asset",
    )
