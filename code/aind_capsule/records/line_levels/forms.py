"""How programs write the level of a line: one row a form, each with an example."""

from __future__ import annotations

from dataclasses import dataclass

from aind_capsule.records.line_levels.leads import TIME

WORD = (
    r"(?:TRACE|DEBUG|INFO(?:RMATION)?|NOTICE|SUCCESS|WARN(?:ING)?|ERR(?:OR)?|SEVERE"
    r"|CRIT(?:ICAL)?|FATAL|EMERGENCY|EMERG)"
)
_REST = r"(?P<rest>.*)$"
#: A name of a program, a module, a file.
_NAME = r"[\w./+@-]{1,80}"
#: A sign, and the name of a program.
_DECORATED = r"[^\w\s]{0,4}\s{0,4}(?:[\w.-]{1,40}: )?"


#: What bash says of its own failures, and not what a program says behind its name.
_SHELL_ERRORS = (
    "command not found|No such file or directory|Permission denied|unbound variable"
    "|cannot execute|Is a directory|bad substitution|division by 0|not a valid identifier"
    "|ambiguous redirect|[Bb]ad file descriptor|No space left on device|readonly variable"
    "|cannot open|parameter (?:null or )?not set|value too great for base|too many arguments"
    "|numeric argument required|integer expression expected|(?:unary|binary) operator expected"
    "|Argument list too long|Text file busy|Exec format error|syntax error|unexpected EOF"
)
#: What dash says, which is `sh` on Debian.
_DASH_ERRORS = (
    r"(?:.{0,200}: )?(?:not found|Permission denied|No such file|Is a directory|Exec format error"
    r"|parameter (?:null or )?not set|[Bb]ad substitution|cannot (?:open|create) .{1,200})$"
    r"|(?:cd: can't cd to|arithmetic expression:|Syntax error:) "
)
#: What the C library says of a heap that is broken, before it ends the program.
_BROKEN_HEAP = (
    r"(?:double free or corruption|corrupted (?:size vs|double-linked)|munmap_chunk\(\): "
    r"|(?:free|malloc|realloc)\(\): )"
)
_SIGNALS = (
    "Segmentation fault|Aborted|Bus error|Killed|Floating point exception|Illegal instruction"
)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Form:
    """One way to state a level.

    Attributes:
        pattern: Has a group `word`, `letter` or `number` that is the level, or sets `level`; its
            group `rest`, where it has one, may be only a value, and then nothing is stated.
        example: A line of this form.
        level: What it states where no group does.
        is_prose: The word may also begin a sentence: then a value at the end makes it a metric.
        needs: What must stand before it: "" for the line's start, "time", "group" (a group or
            nothing), or "any".
        is_padded: It stands behind many blanks.
    """

    pattern: str
    example: str
    level: str = ""
    is_prose: bool = False
    needs: str = ""
    is_padded: bool = False


FORMS: tuple[Form, ...] = (
    Form(
        rf"(?P<word>(?i:{WORD}))(?:\[\w{{1,20}}\])?\s{{0,8}}"
        rf"(?::(?=\s|$)|\s(?:-|--|–|—|=>)\s|!:|!(?=\s\S)|~\s){_REST}",
        "WARNING: 3 labels missing",
        needs="any",
    ),
    Form(rf"(?P<word>{WORD})\s{{0,8}}\|{_REST}", "ERROR | main:f:3 | no file", needs="any"),
    # `Error | Accuracy | Epoch` is the head of a table.
    Form(rf"(?P<word>(?i:{WORD}))\s{{0,8}}\|(?P<rest>[^|]*)$", "error | no file", needs="any"),
    Form(
        rf"[\[(<]\s{{0,4}}(?:[A-Z]{{2,8}} )?(?P<word>(?i:{WORD}))(?::\d[\d@.]{{0,20}})?"
        rf"\s{{0,4}}[\])>](?![^<]{{0,200}}</){_REST}",
        "[ERROR] no such file",
        needs="any",
    ),
    Form(
        rf"(?:-\s{{1,4}})?(?P<word>{WORD})(?:[\s,;]{{1,8}}|$){_REST}",
        "10:00:00 ERROR no file",
        needs="time",
    ),
    Form(
        rf"(?:\w[\w.]{{0,80}}(?::\d{{1,9}})?\s{{1,20}})(?P<word>{WORD})(?::|\s){_REST}",
        "10:00:00 my.logger    WARNING  drift",
        needs="time",
    ),
    Form(
        rf"(?:\S{{1,80}}\s{{1,8}}){{0,3}}-\s{{1,4}}(?P<word>{WORD})\s{{1,8}}-\s{_REST}",
        "10:00:00 - my.logger - ERROR - no file",
        needs="any",
    ),
    Form(
        rf"[^|]{{0,60}}\|\s{{0,8}}(?P<word>{WORD})\s{{0,8}}\|{_REST}",
        "10:00:00 | a | ERROR | x",
        needs="time",
    ),
    Form(
        rf"(?P<word>ERROR|SEVERE|WARN|WARNING|FATAL|CRITICAL)\s{_REST}",
        "ERROR no such file",
        is_prose=True,
        needs="group",
    ),
    Form(rf"(?P<word>{WORD}):[\w.]{{1,80}}:.", "WARNING:root:low signal"),
    Form(
        rf"\w{{1,40}}\.(?P<word>{WORD}): (?P<rest>.+)$",
        "app.ERROR: no connection",
        needs="any",
    ),
    Form(
        r"\s{8,80}(?P<word>ERROR|WARNING|CRITICAL|DEBUG)\s{1,4}(?P<rest>.*\S\s{1,80}\S{1,80}:\d{1,6})$",
        "           WARNING  low signal            main.py:3",
        is_padded=True,
    ),
    Form(
        rf"{_NAME}:\s?(?P<word>ERROR|WARNING|CRITICAL|FATAL)[:\s]{_REST}",
        "sorter: ERROR: no units",
    ),
    Form(
        rf"{_NAME}(?::\d{{1,9}}){{0,3}}:\s(?:(?:fatal|internal compiler|internal|runtime) )?"
        rf"(?P<word>error|warning|fatal|Error|Warning|Fatal):\s{_REST}",
        "main.c:3:1: error: unknown type name",
    ),
    Form(
        rf"(?P<word>fatal|error|warning)(?:\[\w{{1,12}}\])?:\s{_REST}",
        "error[E0308]: mismatched types",
    ),
    Form(
        r".{1,260}:\d{1,9}:\s[\w.]{0,80}(?P<word>Warning):\s(?P<rest>.*)$",
        "/code/a.py:3: UserWarning: x",
    ),
    Form(
        rf"{_DECORATED}(?P<word>Error) (?!handling|checking|reporting|logging)"
        rf"(?:\w{{1,30}}ing|response|termination)\b{_REST}",
        "Error opening input file",
    ),
    Form(r"(?P<word>Error) in .{1,200} : ", "Error in read.csv(x) : no such file"),
    Form(
        rf"{_DECORATED}(?P<word>Error) (?:in|with|at|while|when|on|from|for)\b{_REST}",
        "Error in slope of plane 3",
        is_prose=True,
    ),
    Form(
        rf"(?:[A-Z]\w{{1,20}} )?(?:(?i:fatal|internal|runtime|parse|syntax|compile|link) )?"
        rf"(?P<word>error|Error|warning|Warning):\s{_REST}",
        "Fortran runtime error: index out of bounds",
        needs="any",
    ),
    Form(
        r"CMake (?:Deprecation )?(?P<word>Error|Warning)(?: \(dev\))?(?: at|:|$)",
        "CMake Error at CMakeLists.txt:3 (find_package):",
    ),
    Form(rf"(?P<word>Warning) (?:in\b|messages?:){_REST}", "Warning message:"),
    Form(r"npm (?P<word>WARN|ERR|warn|error)!?(?P<rest>\s.*|)$", "npm ERR! code E404"),
    Form(
        r"\*{1,10}\s{0,4}(?P<word>ERROR|WARNING|FATAL)\s{0,4}\*{1,10}(?P<rest>)$",
        "*** ERROR ***",
    ),
    Form(
        r"(?P<letter>[IWEF])\d{4}(?:\d{4})? \d\d:\d\d:\d[\d.:]{0,20}"
        r"\s{1,8}\d{1,20} \S{1,100}:\d{1,6}\] ",
        "W0102 03:04:05.678901 1234 file.cc:56] slow",
        needs="group",
    ),
    Form(
        rf"{TIME}: (?P<letter>[IWEF]) \S{{1,100}}:\d{{1,6}}\] ",
        "2026-01-02 03:04:05.6: E a.cc:5] x",
    ),
    Form(
        rf"\[(?P<letter>[DIWEC]) {TIME}[^\]]{{0,60}}\] ",
        "[W 03:04:05.678 LabApp] slow",
    ),
    Form(r"(?P<letter>[EW]): (?P<rest>.*)$", "E: Unable to locate package"),
    Form(r"<(?P<number>[0-7])>", "<3>disk failed"),
    Form(
        rf"\S{{1,100}}: line \d{{1,9}}: (?:.{{0,300}}(?:{_SHELL_ERRORS}).{{0,100}}"
        rf"|\s{{0,8}}\d{{1,9}} (?:{_SIGNALS}).*)$",
        "run: line 3: cmd: command not found",
        level="ERROR",
    ),
    Form(
        rf"(?:{_SIGNALS})(?: \(core dumped\))?$",
        "Segmentation fault (core dumped)",
        level="ERROR",
    ),
    Form(
        r"\S{1,100}: \S{1,200}:\d{1,9}: .{0,300}: Assertion [`'].{0,300}' failed\.",
        "a: a.c:3: f: Assertion `n' failed.",
        level="ERROR",
    ),
    Form(
        rf"\[(?:{TIME}[\s:,]{{1,4}}|(?![Nn]o )[A-Za-z][\w.-]{{0,40}} )?(?P<word>{WORD})"
        rf"(?:[/|:@][^\]]{{0,80}})?\]{_REST}",
        "[WARNING/ForkPoolWorker-1] the queue is full",
        needs="any",
    ),
    Form(
        rf"(?!{WORD}\b)(?:/?\w[\w./+@=-]{{0,60}}(?: \d{{1,6}})?\s{{0,16}}:?"
        rf"|{_NAME}(?::\d{{1,9}}){{1,3}}:?)\s{{1,8}}(?P<word>ERROR|WARN|WARNING|CRITICAL|FATAL):\s(?P<rest>.*\S.*)$",
        "rank 0: ERROR: no units",
    ),
    Form(
        rf"{_NAME}(?:(?::\d{{1,9}}){{1,3}}|\s{{0,16}}):?\s(?<=[:\d]\s)\s{{0,8}}"
        rf"(?P<word>ERROR|WARN|WARNING|CRITICAL|FATAL)[:\s]{_REST}",
        "sorter.py:12 ERROR no units",
    ),
    Form(
        rf"(?:[^:|]{{1,200}}\(\d{{1,9}}(?:,\d{{1,9}})?\)\s?:\s)?(?:fatal )?(?P<word>error|warning)"
        rf"(?: (?:[A-Z]{{1,4}}|#)\d{{1,6}}(?:-\w{{1,4}})?)?:\s{_REST}",
        "kernel.cu(3): error: identifier is undefined",
    ),
    Form(
        rf"\(node:\d{{1,9}}\) (?:\[\w{{1,20}}\] )?\w{{0,60}}(?P<word>Warning): {_REST}",
        "(node:123) [DEP0005] DeprecationWarning: Buffer() is deprecated",
    ),
    Form(
        rf"(?:rsync|libpng) (?P<word>error|warning): {_REST}",
        "rsync error: some files could not be transferred (code 23)",
    ),
    Form(rf"(?P<word>Warning) \d{{1,3}}: {_REST}", "Warning 1: unknown tag"),
    Form(rf"\*\*(?P<word>{WORD})(?::?\*\*|\*\*:)\s{_REST}", "**ERROR**: no units"),
    Form(
        rf"\S{{1,100}}: \d{{1,9}}: (?:{_DASH_ERRORS})",
        "run.sh: 3: sortt: not found",
        level="ERROR",
    ),
    Form(
        rf"(?:-?(?:ba|z|da|k)?sh|/\S{{1,60}}sh): (?:.{{1,200}}: )?(?:{_SHELL_ERRORS}|not found)$",
        "bash: sortt: command not found",
        level="ERROR",
    ),
    Form(
        r"zsh:\d{1,9}: (?:command not found|no such file)",
        "zsh:1: command not found: x",
        level="ERROR",
    ),
    Form(
        rf"(?:{_BROKEN_HEAP}|\*{{3}} [\w ]{{1,60}} detected \*{{3}}: terminated)",
        "*** stack smashing detected ***: terminated",
        level="ERROR",
    ),
    Form(
        r"(?:\S{1,100}: error while loading shared libraries: |libc\+\+abi: terminating "
        r"|HDF5-DIAG: Error detected in |Unhandled exception\. )",
        "sorter: error while loading shared libraries: libcudart.so: cannot open",
        level="ERROR",
    ),
    Form(r"Fatal Python error: ", "Fatal Python error: Segmentation fault", level="CRITICAL"),
    Form(
        r"(?:Exception in thread |terminate called after throwing |panic: |fatal error: "
        r"|thread '.{0,100}' (?:\(\d{1,9}\) )?panicked at )",
        "panic: assignment to entry in nil map",
        level="ERROR",
    ),
)

#: `ValueError: why`, `java.lang.IllegalStateException: why`.
EXCEPTION = (
    r"(?:Uncaught )?(?:[\w$<>]{1,80}\.){0,12}"
    r"(?P<name>[A-Z]\w{0,80}(?:Error|Exception|Exit|Interrupt|Warning|ExceptionGroup)|Exception)"
    r"(?: \[\w{1,80}\])?: "
    r"(?P<rest>.+)$"
)
