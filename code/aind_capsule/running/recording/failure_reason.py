"""Why a run failed, out of the last that its processing has said.

Imported at the run's end. What is not chosen here (signals, a time limit, memory) is `outcome`'s.
"""

from __future__ import annotations

import re

from aind_capsule.running.recording.failure_evidence import FailureEvidence, is_closing_line
from aind_capsule.running.recording.traceback_info import Traceback

#: Colours, links, and the brackets that MATLAB hides with a backspace.
_COLOUR = re.compile(
    r"\x1b\[[0-?]{0,40}[ -/]{0,4}[@-~]|\x1b\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)|[][{}]\x08"
)
#: A progress bar's state is no reason: `33%|███   | 1/3`, `[=====>   ]`, `━━━━━━ 2/3 MB`.
_BAR = re.compile(r"\d%\||[━█╸╺▏▎▍▌▋▊▉]{3}|[\[|](?:[=#]{3}|[=#]{1,2}>)")
#: What programs of notebooks raise when a cell has failed, and not their own exception.
_NOTEBOOK_ERRORS = frozenset({"CellExecutionError", "PapermillExecutionError"})
_CELL_PLACE = "Exception encountered at "
#: IPython names the exception before its frames, and again, with its message, below them.
_CELL_HEADER = re.compile(r"([A-Za-z_][\w.]{0,200}) {2,100}Traceback \(most recent call last\)$")
_CELL_ENDING = re.compile(r"([A-Za-z_][\w.]{0,200}):(?: (.*))?$")
_ERROR_NAME = re.compile(r"[\w.]{1,200}(?:Error|Exception|Exit|Interrupt|Warning|Group)$")


def find_reason(evidence: FailureEvidence) -> tuple[Traceback | None, str | None]:
    """Return the exception that the processing ended by, and else what it said last.

    The second is the last ERROR or CRITICAL record, else the last line of stderr.
    """
    exception = evidence.exception
    if exception is None:
        return None, _find_text(evidence)
    if exception.type.rpartition(".")[2] in _NOTEBOOK_ERRORS:
        return _find_cell_error(evidence, exception), None
    return exception, None


def _find_text(evidence: FailureEvidence) -> str | None:
    error = _clean(evidence.error or "")
    lines = [line for line in map(_clean, evidence.read_stderr()) if not _BAR.search(line)]
    candidates = [text for text in (error, *reversed(lines)) if text]
    reasons = (text for text in candidates if not is_closing_line(text))
    return next(reasons, candidates[0] if candidates else None)


def _clean(text: str) -> str:
    return _COLOUR.sub("", text).strip()


def _find_cell_error(evidence: FailureEvidence, exception: Traceback) -> Traceback:
    """Return the exception of a notebook's cell, whose traceback is its runner's message.

    A long one is not in one record: the rest came as lines.
    """
    kind = exception.type.rpartition(".")[2]
    said = exception.text.rpartition(kind)[2] or exception.message
    said = "\n".join([said, evidence.error or "", *evidence.read_stderr()])
    lines = [line.rstrip() for line in _COLOUR.sub("", said).split("\n")]
    text = "\n".join(lines)
    names = {match[1] for match in map(_CELL_HEADER.match, lines) if match}
    for index in range(len(lines) - 1, -1, -1):
        match = _CELL_ENDING.match(lines[index])
        if match is not None and (match[1] in names or _ERROR_NAME.match(match[1])):
            message = "\n".join([match[2] or "", *_take_paragraph(lines[index + 1 :])])
            return Traceback(match[1].rpartition(".")[2], message.strip(), text)
    # The kernel is another language's: what it says stands behind the cell's own text.
    rules = [-1, *(index for index, line in enumerate(lines) if line and not line.strip("-"))]
    said_by_kernel = (
        line for line in lines[rules[-1] + 1 :] if line and not line.startswith(_CELL_PLACE)
    )
    return Traceback(kind, next(said_by_kernel, exception.message), text)


def _take_paragraph(lines: list[str]) -> list[str]:
    return lines[: lines.index("")] if "" in lines else lines
