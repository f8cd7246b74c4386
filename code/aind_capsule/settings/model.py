"""The settings as one table: each row is a field with its environment variables, flag and meaning.

A row's key is the field's dotted name (`log.level`); its variable is `CAPSULE_` and the key in
capitals, with `__` for the dot (`CAPSULE_LOG__LEVEL`). A new setting is one field here; the docs
page, `capsule settings` and the readers of files and environment follow.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from aind_capsule.settings import values

RunFiles = frozenset[str]
When = Literal["start", "logging"]


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
            wrong value is an ERROR, and the default holds.
        file_only: Whether only `capsule.toml` may set it.
    """
    meta = {
        "parse": parse, "description": description, "env": env, "flag": flag, "form": form,
        "is_fatal": is_fatal, "file_only": file_only,
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
class Settings:
    """Everything that can be set; see the module's docstring for how names are made."""

    process_name: str | None = setting(
        None,
        values.parse_text,
        "Name of the process (capsule); by default the platform's or the command's.",
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
        values.parse_duration,
        "Time after which the processing is ended (status `fail`, exit status 124).",
        flag="--timeout",
        form="seconds, or `90m`, `2h`",
    )
    grace: float = setting(
        5.0,
        values.parse_grace,
        "Time that the processing has between a stop and its kill.",
        flag="--grace",
        form="seconds, or `10s`",
    )
    resources: float | None = setting(
        None,
        values.parse_interval,
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
    log: LogSettings = field(default_factory=LogSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    redact: RedactSettings = field(default_factory=RedactSettings)


@dataclass(frozen=True, slots=True)
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
        yield Row(key, default, **more)


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
