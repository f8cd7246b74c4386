"""What is looked for in every block of output before anything is looked at closely.

One of these stands in every line that states a level other than INFO, opens a group of lines
(a traceback, a warning with its source), or is a logger's JSON object. They are in lower case.
Those that begin with a line end stand at a line's start only. `FIRST_LETTERS` are what such a line
may begin with.
"""

from __future__ import annotations

LEVELS = (
    "trace", "debug", "warn", "err", "severe", "crit", "fatal", "emergency", "alert", "emerg",
    "panic", "exception", "exit: ", "interrupt: ", "terminate called", "assertion",
    "segmentation fault", "aborted", "killed", "bus error", "illegal instruction",
    "floating point exception", ": line ", "not found", "permission denied", "is a directory",
    "not set", "no such file", "can't cd", "arithmetic", "substitution", "cannot ",
    "free()", "alloc()", "munmap_chunk", "corrupt", " detected ***", "libc++abi",
    "]:w", "]:e", "]:f",
    "[d ", "[w ", "[e ", "[c ", ": w ", ": e ", ": f ",
    "\nw0", "\nw1", "\ne0", "\ne1", "\nf0", "\nf1", "\ne: ", "\nw: ",
    *(f"\n<{number}>" for number in range(8)),
)  # fmt: skip
GROUPS = ('  file "', "\nprocess ", "timeout (", "original exception", ":in `", ":in '")
JSON_LINES = ('"level', 'level"', 'severity"', '"lvl"', '"@l"')
LITERALS = (*LEVELS, *GROUPS, *JSON_LINES)
FIRST_LETTERS = frozenset((b"w", b"W", b"e", b"E", b"f", b"F", b"<", b"p", b"P"))
