"""Why a run failed, out of the last that its processing has said.

Imported at the run's end. What is not chosen here (signals, a time limit, memory) is `outcome`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from aind_capsule.running.recording.failure_evidence import FailureEvidence
from aind_capsule.running.recording.traceback_info import Traceback

_COLOUR = re.compile(r"\x1b\[[0-?]{0,40}[ -/]{0,4}[@-~]|\x1b\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)")
#: A progress bar's state is no reason: `33%|███   | 1/3`, `[=====>   ]`, `━━━━━━ 2/3 MB`.
_BAR = re.compile(r"\d%.{0,3}[|\[]|[━█╸╺▏▎▍▌▋▊▉#]{4}|={4,200}>")
#: Nor is the shell's trace (`set -x`) of the exit itself.
_EXIT_TRACE = re.compile(r"\+{1,9} (?:exit|return)(?: \S{1,20})?$")
#: What programs of notebooks raise when a cell has failed, and not their own exception.
_NOTEBOOK_ERRORS = frozenset({"CellExecutionError", "PapermillExecutionError"})
#: IPython names the exception before its frames, and again, with its message, below them.
_CELL_HEADER = re.compile(r"([A-Za-z_][\w.]{0,200}) {2,100}Traceback \(most recent call last\)$")
_CELL_ENDING = re.compile(r"([A-Za-z_][\w.]{0,200}):(?: (.*))?$")
_ERROR_NAME = re.compile(r"[\w.]{0,200}(?:Error|Exception|Exit|Interrupt|Warning|Group)$")


def find_reason(evidence: FailureEvidence) -> tuple[Traceback | None, str | None]:
    """Return the exception that the processing ended by, and else what it said last.

    The second is the last ERROR or CRITICAL record, else the last line of stderr.
    """
    exception = evidence.exception
    if exception is None:
        return None, _find_text(evidence)
    kind = exception.type.rpartition(".")[2]
    return (_find_cell_error(evidence, exception, kind) or exception), None


def _find_text(evidence: FailureEvidence) -> str | None:
    error = _clean(evidence.read_error() or "")
    if error:
        return error
    lines = map(_clean, reversed(evidence.read_stderr()))
    return next(filter(_is_reason, lines), None)


def _is_reason(line: str) -> bool:
    return bool(line) and not _BAR.search(line) and not _EXIT_TRACE.match(line)


def _clean(text: str) -> str:
    return _COLOUR.sub("", text).strip()


def _find_cell_error(
    evidence: FailureEvidence, exception: Traceback, kind: str
) -> Traceback | None:
    """Return the exception of a notebook's cell where a program that runs notebooks raised one.

    Its traceback is the runner's message. A long one is not in one record: the rest came as lines.
    """
    if kind not in _NOTEBOOK_ERRORS:
        return None
    said = exception.text.rpartition(kind)[2] or exception.message
    later = [evidence.read_error() or "", *evidence.read_stderr()]
    lines = [_COLOUR.sub("", line).rstrip() for line in [*said.split("\n"), *_split(later)]]
    names = {match[1] for match in map(_CELL_HEADER.match, lines) if match}
    for index in range(len(lines) - 1, -1, -1):
        match = _CELL_ENDING.match(lines[index])
        if match is not None and (match[1] in names or _ERROR_NAME.match(match[1])):
            message = "\n".join([match[2] or "", *_take_paragraph(lines[index + 1 :])])
            return Traceback(match[1].rpartition(".")[2], message.strip(), exception.text)
    return None


def _split(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n")]


def _take_paragraph(lines: list[str]) -> list[str]:
    return lines[: lines.index("")] if "" in lines else lines
