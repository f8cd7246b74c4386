"""Which line begins which group."""

from __future__ import annotations

from aind_capsule.running.capture.groups import (
    error_box,
    ipython_traceback,
    python_traceback,
    python_warning,
    stack_traces,
)
from aind_capsule.running.capture.groups.crashes import (
    CppException,
    FatalPythonError,
    GoPanic,
    RustPanic,
)
from aind_capsule.running.capture.groups.error_box import ErrorBox
from aind_capsule.running.capture.groups.ipython_traceback import IPythonTraceback
from aind_capsule.running.capture.groups.line_group import LineGroup
from aind_capsule.running.capture.groups.python_traceback import PythonTraceback, SyntaxErrorLines
from aind_capsule.running.capture.groups.python_warning import PythonWarning
from aind_capsule.running.capture.groups.stack_traces import (
    PhpError,
    RubyError,
    StackTrace,
)

#: In this order: the first that knows a line has it.
_OPENINGS = (
    (python_traceback.opens, PythonTraceback),
    (python_traceback.opens_syntax_error, SyntaxErrorLines),
    (ipython_traceback.opens, IPythonTraceback),
    (error_box.opens, ErrorBox),
    (python_warning.opens, PythonWarning),
    (GoPanic.opens, GoPanic),
    (RustPanic.opens, RustPanic),
    (CppException.opens, CppException),
    (FatalPythonError.opens, FatalPythonError),
    (RubyError.opens, RubyError),
    (PhpError.opens, PhpError),
    (stack_traces.opens, StackTrace),
)


#: Lines that begin with these are no exception's: times, groups, JSON.
_RARE_STARTS = frozenset("0123456789[{(=*#")


def open_group(line: str) -> LineGroup | None:
    """Return the group that a line begins, or None."""
    if line[:1] in _RARE_STARTS:
        if python_traceback.ends_with_header(line):
            return PythonTraceback(line)
        return PythonWarning(line) if python_warning.opens(line) else None
    for opens, group in _OPENINGS:
        if opens(line):
            return group(line)
    return None
