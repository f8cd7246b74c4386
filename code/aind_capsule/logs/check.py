"""Judge log files by the AIND logging standard, line by line.

Called by `capsule check-logs`; the rules of single fields are `records.schema`'s. A line is judged
with the standard library's parser, which sees what a lenient one forgives (NaN, equal names).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from aind_capsule.records.canonical import is_canonical
from aind_capsule.records.schema import Fault, find_faults

_MAX_LINE_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Verdict:
    """What was found in one file.

    Attributes:
        lines: Lines that were looked at.
        errors: Faults by rule.
        warnings: Lesser faults by rule.
        examples: The first faults, with their line numbers from 1.
    """

    lines: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, Fault]] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every line keeps to the standard."""
        return not self.errors


def check_log(file: BinaryIO, *, max_examples: int = 20) -> Verdict:
    """Judge a log.

    Raises:
        OSError: It cannot be read.
    """
    verdict = Verdict()
    last_seq: int | None = None
    canonical_line = 0
    warned: set[str] = set()
    while line := file.readline(_MAX_LINE_BYTES):
        verdict.lines += 1
        record, faults = _judge_line(line)
        if record is not None:
            seq = record.get("seq")
            if isinstance(seq, int):
                if last_seq is not None and seq != last_seq + 1:
                    message = f"seq is {seq} after {last_seq}: records are missing or repeated"
                    faults.append(Fault("sequence", "seq", message))
                last_seq = seq
            if canonical_line:
                message = f"a record after the canonical record of line {canonical_line}"
                faults.append(Fault("canonical", "status", message))
            elif "status" in record and "event_type" in record and not is_canonical(record):
                message = "the record claims a run's end, and is not the canonical record"
                faults.append(Fault("canonical", "status", message))
            if is_canonical(record):
                canonical_line = verdict.lines
        for fault in faults:
            (verdict.warnings if fault.is_warning else verdict.errors)[fault.rule] += 1
            if fault.is_warning and fault.rule in warned:
                continue
            if fault.is_warning:
                warned.add(fault.rule)
            if len(verdict.examples) < max_examples:
                verdict.examples.append((verdict.lines, fault))
    return verdict


def _judge_line(line: bytes) -> tuple[dict[str, Any] | None, list[Fault]]:
    if not line.endswith(b"\n"):
        return None, [Fault("torn", "", "the last line has no end; a crash may have cut it")]
    try:
        record = json.loads(
            line.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_refuse_equal_names
        )
    except UnicodeDecodeError as error:
        return None, [Fault("utf-8", "", f"not UTF-8 at byte {error.start}")]
    except (ValueError, RecursionError) as error:
        return None, [Fault("json", "", f"not JSON: {error}")]
    if not isinstance(record, dict):
        return None, [Fault("json", "", f"not a JSON object but {type(record).__name__}")]
    return record, list(find_faults(record))


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _refuse_equal_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(iter(_find_repeated(names)))
        raise ValueError(f"the name {twice!r} stands twice")
    return dict(pairs)


def _find_repeated(names: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
