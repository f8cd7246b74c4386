"""The fields of a record as one table; validation, JSON Schema and the docs page come from it.

Source: the AIND logging standard (names, formats, which are required) and, below it, what this
toolkit adds. A new field is one row here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from aind_capsule.frozen import frozen
from aind_capsule.records.levels import LEVELS

FieldType = Literal["string", "integer", "number", "boolean", "object", "array"]
Group = Literal["standard", "toolkit", "canonical"]

#: As we write it, and as others may: seconds with 0 to 9 digits, in UTC.
TIMESTAMP_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"
UTC_PATTERN = (
    r"^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
    r"(?:\.\d{1,9})?(?:Z|\+00:00)$"
)
EVENT_TYPES = ("stage_start", "stage_complete", "stage_failure")
EVENT_TYPES_READ = (*EVENT_TYPES, "stage_error")
STATUSES = ("success", "fail", "stopped")


@frozen
class Field:
    """One row of the table: a field's name, type, meaning, and the values that it may have."""

    name: str
    type: FieldType
    description: str
    group: Group
    required: bool = False
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None


def _standard(name: str, description: str, type_: FieldType = "string", **more: Any) -> Field:
    return Field(name, type_, description, "standard", **more)


def _toolkit(name: str, description: str, type_: FieldType = "string", **more: Any) -> Field:
    return Field(name, type_, description, "toolkit", **more)


def _canonical(name: str, description: str, type_: FieldType = "string", **more: Any) -> Field:
    return Field(name, type_, description, "canonical", **more)


FIELDS: tuple[Field, ...] = (
    _standard(
        "timestamp",
        "When the record was made: ISO 8601, UTC, microseconds, `Z` (read: `+00:00` too, and 0 to"
        " 9 digits).",
        required=True,
        pattern=UTC_PATTERN,
    ),
    _standard("level", "How severe it is.", required=True, choices=LEVELS),
    _standard("message", "What happened, for people.", required=True),
    _standard("lineno", "Source line of the log call.", "integer", minimum=0),
    _standard("process", "Process id given by the operating system."),
    _standard("processName", "Name of the process."),
    _standard("thread", "Thread id given by the operating system."),
    _standard("threadName", "Name of the thread."),
    _standard("hostname", "Machine or container that ran the software."),
    _standard("software_name", "Software that made the record."),
    _standard("software_version", "Version of that software."),
    _standard("rig_id", "Rig by SIPE's naming, such as `frg_1_a`."),
    _standard("instrument_id", "Instrument by Scientific Computing's naming, such as `MESO1`."),
    _standard(
        "acquisition_name", "`<subject_id>_<acquisition date>_<acquisition time>` of the input."
    ),
    _standard("subject_id", "Subject of the data acquisition."),
    _standard("specimen_id", "Tissue removed from a subject; holds the subject id."),
    _standard("pipeline_name", "Pipeline that the run belongs to."),
    _standard("process_name", "Process (capsule) that processes or checks the data."),
    _standard("user_id", "Person who runs the software; never the container's login."),
    _standard("event_type", "Place in the run's life cycle.", choices=EVENT_TYPES),
    _toolkit("run_id", "The run: `YYYYMMDDTHHMMSS-<8 hex digits>`, UTC."),
    _toolkit("capsule_id", "The platform's id of the capsule."),
    _toolkit("computation_id", "The platform's id of the computation."),
    _toolkit("pipeline_id", "The platform's id of the pipeline."),
    _toolkit("experiment_id", "Groups runs, where it is set."),
    _toolkit(
        "stream", "Stream that a captured line came on.", choices=("stdout", "stderr", "merged")
    ),
    _toolkit("logger", "Name of the logger (module) that made the record."),
    _toolkit("function", "Function that made the log call."),
    _toolkit("exception", "An exception: `type`, `message`, `traceback` (one string).", "object"),
    _toolkit(
        "split_part",
        "Number from 1 of this part of a captured line that was too long to be one record.",
        "integer",
        minimum=1,
    ),
    _toolkit("split_last", "Whether this part is the line's last.", "boolean"),
    _toolkit("truncated", "Names of the fields that were cut to make the record fit.", "array"),
    _toolkit("shipping", "How every destination labels this log (first record only).", "object"),
    _toolkit("seq", "Number of the record in its log, from 0, without gaps.", "integer", minimum=0),
    _canonical("status", "How the run ended.", choices=STATUSES),
    _canonical("exit_code", "Exit status of the processing.", "integer"),
    _canonical("signal", "Signal that ended the processing or stopped the run, such as `SIGKILL`."),
    _canonical(
        "error_type",
        "Why it failed: exception type, `ExitStatus`, `Signal`, `Timeout`, `OutOfMemory`, "
        "`NotFound`, `NotExecutable`, `UploadError`, `OutputError`, `SettingsError`.",
    ),
    _canonical(
        "error_message",
        "What the failure said; for `ExitStatus` the last error, else the last line of stderr.",
    ),
    _canonical(
        "other_failures",
        "Failures of other `capsule_run` blocks of the same process, beside the one that is told.",
        "integer",
    ),
    _canonical("started_at", "When the run started.", pattern=UTC_PATTERN),
    _canonical("duration_s", "Seconds from the run's start to this record.", "number"),
    _canonical("input_assets", "Top-level entries of the data folder.", "array"),
    _canonical("acquisition_names", "Acquisitions of the inputs, where they are several.", "array"),
    _canonical("subject_ids", "Subjects of the inputs, where they are several.", "array"),
    _canonical(
        "code",
        "The code that ran: `url`, `commit`, `branch`, `version`, `is_dirty`, as far as they are"
        " known, where that was found (`found_in`), which variables of the image it is from"
        " (`from_image`), and what else belongs to it (`notes`), such as places that disagree.",
        "object",
    ),
    _canonical(
        "inputs_bytes",
        "Bytes below the data folder (left out when counting took over 5 s).",
        "integer",
    ),
    _canonical(
        "results_files",
        "Files that the processing left in results, without run files. A symbolic link is one;"
        " names of one file (hard links) count once.",
        "integer",
    ),
    _canonical(
        "results_bytes",
        "Bytes of these files. A symbolic link has its own, not those of what it leads to.",
        "integer",
    ),
    _canonical(
        "max_rss_bytes",
        "Largest resident memory of one process of the processing.",
        "integer",
    ),
    _canonical(
        "cpu_s",
        "CPU seconds (user and system) of the processing's finished processes.",
        "number",
    ),
    _canonical(
        "oom_kills",
        "Processes that the kernel killed for want of memory in this container.",
        "integer",
    ),
    _canonical("records", "Records in the log by level, this one not counted.", "object"),
    _canonical("lost_records", "Records that could not be kept, by cause.", "object"),
    _canonical(
        "cut_records",
        "Records that were too long; their largest fields are cut, and named in `truncated`.",
        "integer",
    ),
    _canonical(
        "lost_output_bytes",
        "Bytes of the processing's output that could not be written to the wrapper's own `stdout`"
        " and `stderr`, by stream; the log has them.",
        "object",
    ),
    _canonical(
        "undelivered_records",
        "Records that had not reached a destination when this one was written, by destination; what"
        " became of them is in `run.json` (`delivery`).",
        "object",
    ),
    _canonical(
        "resources",
        "Peaks of what the processing used (`peak_rss_bytes`, `peak_processes`, `peak_cpu_percent`,"
        " `peak_memory_usage_bytes` of the container), `samples` and `lost_samples`; where samples"
        " were taken.",
        "object",
    ),
    _canonical(
        "parameters",
        "The processing's parameters, named where the command line names them.",
        "object",
    ),
    _canonical("metrics", "What the processing measured.", "object"),
    _canonical("upload", "How the upload of the results went.", "object"),
)

BY_NAME: dict[str, Field] = {field.name: field for field in FIELDS}
REQUIRED: tuple[str, ...] = tuple(field.name for field in FIELDS if field.required)

_PYTHON_TYPES: dict[FieldType, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
_PATTERNS = {field.name: re.compile(field.pattern) for field in FIELDS if field.pattern}
_PLACEHOLDERS = frozenset({"", "undefined", "null", "none", "unknown", "n/a"})
#: Texts that are what they are: a message may be empty, and a function may be named `none`.
_FREE_TEXTS = frozenset({"message", "error_message"})
_FREE_NAMES = frozenset({"logger", "function", "processName", "threadName"})


@frozen
class Fault:
    """One way in which a record departs from the standard."""

    rule: str
    field: str
    message: str
    is_warning: bool = False


def find_faults(record: Mapping[str, Any]) -> Iterator[Fault]:
    """Judge one decoded record by the table.

    >>> [f.rule for f in find_faults({"timestamp": "yesterday", "level": "INFO"})]
    ['missing', 'format', 'acquisition_name']
    """
    for name in REQUIRED:
        if name not in record:
            yield Fault("missing", name, f"required field {name!r} is missing")
    for name, value in record.items():
        field = BY_NAME.get(name)
        if field is not None:
            yield from find_value_faults(field, value)
    yield from _find_misfits(record)
    if "acquisition_name" not in record:
        message = "acquisition_name is missing; the standard wants it wherever one is known"
        yield Fault("acquisition_name", "acquisition_name", message, is_warning=True)


def find_value_faults(field: Field, value: Any) -> Iterator[Fault]:
    """Judge the value of one field of the table."""
    name = field.name
    if value is None:
        yield Fault("placeholder", name, f"{name!r} is null; leave unknown values out")
        return
    is_bool = isinstance(value, bool) and field.type in ("integer", "number")
    if is_bool or not isinstance(value, _PYTHON_TYPES[field.type]):
        yield Fault("type", name, f"{name!r} must be a {field.type}, not {value!r:.80}")
        return
    minimum = field.minimum
    if minimum is not None and isinstance(value, (int, float)) and value < minimum:
        yield Fault("range", name, f"{name!r} is {value}; expected {minimum} or more")
    if not isinstance(value, str) or name in _FREE_TEXTS:
        return
    choices = EVENT_TYPES_READ if name == "event_type" else field.choices
    if choices:
        if value not in choices:
            yield Fault("choice", name, f"{name!r} is {value!r:.80}; expected {', '.join(choices)}")
    elif name in _PATTERNS:
        if not _PATTERNS[name].fullmatch(value) or not _has_date(value):
            form = "YYYY-MM-DDTHH:MM:SS.ffffffZ, of a day that exists"
            yield Fault("format", name, f"{name!r} is {value!r:.80}; expected {form}")
    elif name in _FREE_NAMES:
        if not value.strip():
            yield Fault("placeholder", name, f"{name!r} is empty; leave unknown values out")
    elif _is_placeholder(value):
        yield Fault("placeholder", name, f"{name!r} is {value!r}; leave unknown values out")


def _has_date(timestamp: str) -> bool:
    """Return whether the calendar has the day of a timestamp.

    Without the standard library: records are made while Python ends, when nothing can be imported.

    >>> _has_date("2024-02-29T"), _has_date("2023-02-29T"), _has_date("2100-02-29T")
    (True, False, False)
    """
    year, month, day = int(timestamp[:4]), int(timestamp[5:7]), int(timestamp[8:10])
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if is_leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return year > 0 and 1 <= month <= 12 and 1 <= day <= days[month - 1]


def _find_misfits(record: Mapping[str, Any]) -> Iterator[Fault]:
    """Judge the names of acquisition and specimen, which hold the subject's.

    >>> record = {"acquisition_name": "2_2026-01-01_00-00-00", "subject_id": "1"}
    >>> [fault.message for fault in _find_misfits(record)]
    ["'acquisition_name' is '2_2026-01-01_00-00-00'; expected subject '1' in it"]
    """
    acquisition, specimen, subject = (
        value if isinstance(value := record.get(name), str) and not _is_placeholder(value) else None
        for name in ("acquisition_name", "specimen_id", "subject_id")
    )
    if acquisition is not None:
        from aind_capsule.context.asset_names import parse_asset_name

        name, shown = "acquisition_name", f"'acquisition_name' is {acquisition!r:.80}"
        parsed = parse_asset_name(acquisition, subject)
        if parsed is None or parsed.level != "raw":
            form = "<subject_id>_YYYY-MM-DD_HH-MM-SS, of a time that exists"
            yield Fault("acquisition", name, f"{shown}; expected {form}")
        elif subject is not None and parsed.subject_id != subject:
            yield Fault("subject", name, f"{shown}; expected subject {subject!r:.80} in it")
        elif subject is not None and acquisition != parsed.acquisition_name:
            yield Fault("acquisition", name, f"{shown}; expected no platform before the subject")
    if specimen is not None and subject is not None and subject not in specimen:
        message = f"'specimen_id' is {specimen!r:.80}; expected subject {subject!r:.80} in it"
        yield Fault("subject", "specimen_id", message)


def _is_placeholder(text: str) -> bool:
    return text.strip().lower() in _PLACEHOLDERS


def build_json_schema() -> dict[str, Any]:
    """The table as a JSON Schema (draft 2020-12) of one line of a log."""
    properties: dict[str, Any] = {}
    for field in FIELDS:
        rule: dict[str, Any] = {"type": field.type, "description": field.description}
        if field.pattern:
            rule["pattern"] = field.pattern
        if field.minimum is not None:
            rule["minimum"] = field.minimum
        if field.choices:
            rule["enum"] = list(EVENT_TYPES_READ if field.name == "event_type" else field.choices)
        properties[field.name] = rule
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "AIND log record as written by aind-capsule",
        "type": "object",
        "required": list(REQUIRED),
        "properties": properties,
        "additionalProperties": True,
    }
