"""The groups of the settings' table; those of S3 are in `s3_groups`.

A new setting is one field, in a group or in `model.Settings`; the docs page, `capsule settings` and
the readers of files and environment follow.
"""

from __future__ import annotations

import re
from typing import ClassVar

from aind_capsule.frozen import frozen
from aind_capsule.settings import durations, values
from aind_capsule.settings.row import setting
from aind_capsule.settings.secret import Secret


@frozen
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


@frozen
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


@frozen
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


@frozen
class HistorySettings:
    """The run folders that stay in scratch."""

    keep_days: float = setting(
        30.0,
        durations.parse_days,
        "Days after which a finished run's folder in scratch is removed; 0 keeps all.",
        form="days",
    )


@frozen
class RedactSettings:
    """What is hidden besides the usual secrets."""

    fields: tuple[str, ...] = setting(
        (),
        values.parse_names,
        "Further names of fields, options and parameters whose values are secret.",
        form="list of names",
    )
    names_off: tuple[str, ...] = setting(
        (),
        values.parse_names,
        "Names of fields, options, parameters and variables whose values are no secrets, whatever"
        " the names look like.",
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


@frozen
class ShippingSettings:
    """How the log is delivered, to whichever server."""

    deadline: float | None = setting(
        None,
        durations.parse_grace,
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


@frozen
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
        durations.parse_duration,
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


@frozen
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
        None,
        values.parse_text,
        "Where the code is; by default what git, the platform or the image (`CODE_URL`) says.",
    )
    code_version: str | None = setting(
        None,
        values.parse_text,
        "Version of the code; by default its tag, where it is known, else the image's `VERSION`.",
    )
    container: str | None = setting(
        None,
        values.parse_text,
        "Image that the processing runs in, with its tag; by default what Apptainer or Singularity"
        " says.",
        form="image",
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
