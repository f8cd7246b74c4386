"""Names of runs and their files, and how a log is labelled by every destination."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from aind_capsule.records.shrink import MAX_LINE_BYTES
from aind_capsule.records.simplify import CUT_MARK
from aind_capsule.settings.groups import ShippingSettings

#: How the names of logs end.
LOG_SUFFIX = ".log.jsonl"

#: The run files by kind, with what stands behind the stem.
RUN_FILE_SUFFIXES = {
    "log": LOG_SUFFIX,
    "run": ".run.json",
    "resources": ".resources.jsonl",
    "session": ".log.txt",
    "provenance": "_data_process.json",
}

#: How the name of a copy ends until it is whole; it begins with a dot.
_PART = ".part"
_RUN_ID = "00000000T000000-00000000"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")
#: Loki takes 2048 bytes; a character takes four at most.
_MAX_LABEL_CHARACTERS = 512
_USUAL = ShippingSettings()
_MAX_NAME_CHARACTERS = 128
#: Names of programs that say nothing of what they do.
GENERAL_NAMES = frozenset(
    {"", "run", "main", "run_capsule", "__main__", "-c", "ipykernel_launcher", "slurm_script"}
)


def make_run_id(now_s: float | None = None) -> str:
    """A new run's id: `YYYYMMDDTHHMMSS-<8 hex digits>`, UTC."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now_s))}-{os.urandom(4).hex()}"


def is_run_id(name: str) -> bool:
    """Whether a name is a run's id.

    >>> is_run_id("20260101T000000-0123abcd"), is_run_id("20260101-0123abcd")
    (True, False)
    """
    marks = (name[8:9], name[15:16], len(name)) == ("T", "-", len(_RUN_ID))
    return marks and (name[:8] + name[9:15]).isdecimal() and name[16:].isalnum()


def find_run_id(stem: str) -> str | None:
    """The id of the run that a file's stem is of, or None.

    >>> find_run_id("qc-20260101T000000-0123abcd"), find_run_id("qc")
    ('20260101T000000-0123abcd', None)
    """
    run_id = stem[-len(_RUN_ID) :]
    return run_id if is_run_id(run_id) else None


def is_run_file(name: str) -> bool:
    """Return whether a name is that of a run file, or of one that is being copied into results.

    >>> is_run_file("qc-20260101T000000-0123abcd.run.json"), is_run_file("qc.run.json")
    (True, False)
    >>> is_run_file(".20260101T000000-0123abcd_data_process.json.part")
    True
    """
    if name[:1] == "." and name.endswith(_PART):
        stems = (name[1:].partition(suffix)[0] for suffix in RUN_FILE_SUFFIXES.values())
        return any(find_run_id(stem) is not None for stem in stems)
    return any(
        name.endswith(suffix) and find_run_id(name.removesuffix(suffix)) is not None
        for suffix in RUN_FILE_SUFFIXES.values()
    )


def clean_process_name(name: str) -> str:
    r"""Return a process's name on one short line without control characters; it may be empty.

    >>> clean_process_name(" spike\n\x1b[1m sorting\udcff "), clean_process_name("\x00")
    ('spike [1m sorting?', '')
    """
    text = name.encode("utf-8", "replace").decode()
    printable = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(printable.split())
    return (
        text if len(text) <= _MAX_NAME_CHARACTERS else text[: _MAX_NAME_CHARACTERS - 1] + CUT_MARK
    )


def make_file_stem(process_name: str, run_id: str, *, in_pipeline: bool) -> str:
    """How the names of a run's files begin; unique to the run.

    >>> make_file_stem("QC (v2)", "20260101T000000-0123abcd", in_pipeline=False)
    'QC_v2_-20260101T000000-0123abcd'
    """
    if in_pipeline:
        return run_id
    return f"{_UNSAFE.sub('_', process_name).lstrip('.-')[:80] or 'capsule'}-{run_id}"


def make_label_name(name: str) -> str:
    """A name as servers take it for labels and metadata: letters, digits and `_`.

    >>> make_label_name("dot.name"), make_label_name("1st"), make_label_name("?")
    ('dot_name', '_1st', 'field_')
    """
    legal = _NOT_LABEL.sub("_", name)
    if not legal.strip("_"):  # Loki refuses a whole request for a name of nothing else
        return f"field{legal}"
    return f"_{legal}" if legal[0].isdigit() else legal


def build_shipping(
    fields: Mapping[str, Any],
    settings: ShippingSettings = _USUAL,
    hide: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Return how every destination labels the log: settled once, in the log's first record.

    Args:
        fields: What every record bears, without secrets.
        settings: Which labels there are.
        hide: Hides secrets in a label that has a text of its own.

    >>> build_shipping({"process_name": "qc"})["labels"]
    {'service_name': 'qc', 'process_name': 'qc'}
    """
    labels = {"service_name": _make_label(fields.get("process_name")) or "capsule"}
    for label in settings.labels:
        name, sign, text = (hide(label) if "=" in label else label).partition("=")
        value = _make_label(text.strip() if sign else fields.get(name))
        if value:
            labels[make_label_name(name.strip())] = value
    return {
        "v": 1,
        "labels": labels,
        "metadata": list(settings.metadata),
        "max_line": MAX_LINE_BYTES,
    }


def _make_label(value: Any) -> str:
    """A label's value: text that is not too long; empty where there is none."""
    if value is None or isinstance(value, (dict, list)):
        return ""
    return str(value).strip()[:_MAX_LABEL_CHARACTERS]
