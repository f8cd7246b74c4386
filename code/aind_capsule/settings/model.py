"""The settings as one table: each row is a field with its environment variables, flag and meaning.

A row's key is the field's dotted name (`log.level`); its variable is `CAPSULE_` and the key in
capitals, with `__` for the dot (`CAPSULE_LOG__LEVEL`). A new setting is one field here; the docs
page, `capsule settings` and the readers of files and environment follow.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Any

from aind_capsule.frozen import frozen
from aind_capsule.settings import durations, values
from aind_capsule.settings.groups import (
    ConsoleSettings,
    HistorySettings,
    LogSettings,
    LokiSettings,
    ProvenanceSettings,
    RedactSettings,
    SessionSettings,
    ShippingSettings,
)
from aind_capsule.settings.row import setting
from aind_capsule.settings.s3_groups import S3Settings, UploadSettings
from aind_capsule.settings.secret import Secret

RunFiles = frozenset[str]
_URL_PASSWORD = re.compile(r"://[^\s/:@]*:([^\s/]+)@")


@frozen
class Settings:
    """Everything that can be set; see the module's docstring for how names are made."""

    process_name: str | None = setting(
        None,
        values.parse_text,
        "Name of the process (capsule); by default the pipeline's, the repository's, the platform's"
        " or the command's.",
        env=("PROCESS_NAME",),
        flag="--process-name",
    )
    pipeline_name: str | None = setting(
        None,
        values.parse_text,
        "Name of the pipeline that the run belongs to.",
        env=("PIPELINE_NAME",),
        flag="--pipeline-name",
    )
    pipeline_version: str | None = setting(
        None, values.parse_text, "Version of that pipeline.", env=("PIPELINE_VERSION",)
    )
    pipeline_url: str | None = setting(
        None, values.parse_text, "Where that pipeline's code is.", env=("PIPELINE_URL",)
    )
    experiment_id: str | None = setting(
        None, values.parse_text, "Groups runs that belong together."
    )
    user_id: str | None = setting(
        None, values.parse_text, "Person who runs this; by default the only experimenter."
    )
    experimenters: tuple[str, ...] = setting(
        (), values.parse_names, "People responsible for the processing.", form="list of names"
    )
    data: str | None = setting(
        None,
        values.parse_folder,
        "Folder of the input data assets.",
        flag="--data",
        form="folder",
        is_fatal=True,
    )
    results: str | None = setting(
        None,
        values.parse_folder,
        "Folder that the processing writes its results to.",
        flag="--results",
        form="folder",
        is_fatal=True,
    )
    scratch: str | None = setting(
        None,
        values.parse_folder,
        "Folder for what may be lost after the run; run folders live in its `.capsule`.",
        flag="--scratch",
        form="folder",
        is_fatal=True,
    )
    run_files: RunFiles | None = setting(
        None,
        values.parse_run_files,
        "Run files that are copied into results at the end: by default `all`, and `none` inside"
        " a pipeline task.",
        flag="--run-files",
        form="`all`, `none`, or of `log`, `run`, `resources`, `session`, `provenance` a list",
    )
    results_are_jobs: bool = setting(
        False,
        values.parse_boolean,
        "The results are a list of jobs for the next capsule: never put a run file among them.",
        form="boolean",
        file_only=True,
    )
    fields: dict[str, Any] = setting(
        {},
        values.parse_fields,
        "Fields that every record of the run bears.",
        flag="--field",
        form="table, or `name=value` pairs",
    )
    timeout: float | None = setting(
        None,
        durations.parse_time_limit,
        "Time after which the processing is ended (status `fail`, exit status 124).",
        flag="--timeout",
        form="seconds, or `90m`, `1h30m`, `30d`; 0 for none",
    )
    grace: float = setting(
        5.0,
        durations.parse_grace,
        "Time that the processing has between a stop and its kill.",
        flag="--grace",
        form="seconds, or `10s`",
    )
    resources: float | None = setting(
        None,
        durations.parse_interval,
        "Time between two samples of what the processing uses, for `….resources.jsonl`; by default"
        " none are taken (needs the extra `resources`).",
        flag="--resources",
        form="seconds, or `5s`, `1m`; 0 for none",
    )
    merge_streams: bool = setting(
        False,
        values.parse_boolean,
        "One pipe for stdout and stderr: exact order, everything on stdout.",
        flag="--merge-streams",
        form="boolean",
    )
    strict: bool = setting(
        False,
        values.parse_boolean,
        "A failure of logging makes an otherwise successful run end with 74.",
        flag="--strict",
        form="boolean",
    )
    secrets_folder: str | None = setting(
        None,
        values.parse_folder,
        "Folder of secrets: files named like the variables of secret settings; by default"
        " `/run/secrets`, where it exists.",
        form="folder",
    )
    log: LogSettings = field(default_factory=LogSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    redact: RedactSettings = field(default_factory=RedactSettings)
    shipping: ShippingSettings = field(default_factory=ShippingSettings)
    loki: LokiSettings = field(default_factory=LokiSettings)
    s3: S3Settings = field(default_factory=S3Settings)
    upload: UploadSettings = field(default_factory=UploadSettings)
    provenance: ProvenanceSettings = field(default_factory=ProvenanceSettings)


@frozen
class Row:
    """One setting as the readers and the documentation see it."""

    key: str
    default: Any
    parse: Callable[[Any], Any]
    description: str
    env: tuple[str, ...]
    flag: str
    form: str
    is_fatal: bool
    file_only: bool
    is_secret: bool
    switch: str | None


def _find_rows(kind: type[Any], prefix: str) -> Iterator[Row]:
    for item in dataclasses.fields(kind):
        key = f"{prefix}{item.name}"
        if not item.metadata:
            group = item.default_factory
            assert isinstance(group, type), key
            yield from _find_rows(group, f"{key}.")
            continue
        more = dict(item.metadata)
        if more["file_only"]:
            more["env"] = ()
        else:
            more["env"] = (f"CAPSULE_{key.upper().replace('.', '__')}", *more["env"])
        factory = item.default_factory
        default = item.default if factory is dataclasses.MISSING else factory()
        switch = f"{prefix}{kind.SWITCH}" if hasattr(kind, "SWITCH") else None
        yield Row(key, default, **more, switch=switch)


ROWS: tuple[Row, ...] = tuple(_find_rows(Settings, ""))


def build_settings(given: dict[str, Any]) -> Settings:
    """The frozen settings of the values by key; what is not given has its default."""

    def build(kind: type[Any], prefix: str) -> Any:
        arguments = {}
        for item in dataclasses.fields(kind):
            key = f"{prefix}{item.name}"
            if not item.metadata:
                group = item.default_factory
                assert isinstance(group, type), key
                arguments[item.name] = build(group, f"{key}.")
            elif key in given:
                arguments[item.name] = given[key]
        return kind(**arguments)

    built = build(Settings, "")
    assert isinstance(built, Settings)
    return built


def find_secret_values(settings: Settings) -> frozenset[str]:
    """The secrets that the settings hold, wherever they came from, to be hidden everywhere."""
    found: set[str] = set()
    for row in ROWS:
        value: Any = settings
        for name in row.key.split("."):
            value = getattr(value, name)
        if isinstance(value, Secret):
            found.add(value.reveal())
        elif isinstance(value, dict):
            found.update(part.reveal() for part in value.values() if isinstance(part, Secret))
        elif isinstance(value, str) and (match := _URL_PASSWORD.search(value)) is not None:
            found.add(match.group(1))
    return frozenset(found)
