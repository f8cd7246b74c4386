"""Why a command could not be started, as a sentence with the value and what to do.

The kernel gives one number; the file and the folders above it tell the rest. Called when nothing
was started, and once after the end for what an interpreter cannot say of its script. Nothing here
runs anything.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Callable, Mapping, Sequence

from aind_capsule.running.process.program_file import ELF_MAGIC, find_program_file, read_head

EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
#: Of `e_machine`, by the names that `uname -m` has.
_MACHINES = {
    3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64",
    183: "aarch64", 243: "riscv64", 258: "loongarch64",
}  # fmt: skip
#: Programs of other systems, by their first bytes.
_OTHER_SYSTEMS = {
    b"MZ": "Windows",
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
}
_LONGEST_SHOWN = 200


def find_reason(
    command: Sequence[str], error: OSError, environ: Mapping[str, str]
) -> tuple[int, str, str]:
    """Return exit status (126 or 127), `error_type` and message of a command that did not start.

    Args:
        command: Program and arguments.
        error: What the kernel said.
        environ: The environment that it was to have: its PATH was searched.
    """
    name = command[0]
    path = find_program_file(name, environ) if name else ""
    reason = _explain_missing(name, path, error.errno or 0)
    if reason is not None:
        return EXIT_NOT_FOUND, "NotFound", reason
    reason = _explain_refused(path, error.errno or 0) or f"cannot be executed: {error.strerror}"
    return EXIT_NOT_EXECUTABLE, "NotExecutable", f"{_show(path)} {reason}"


def find_script_fault(command: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Return what is wrong with a script that was started all the same, or None.

    Its interpreter takes a carriage return for part of an argument, and says something else.
    """
    path = find_program_file(command[0], environ)
    head = read_head(path)
    if head is None:
        return None
    if not head:
        return f"{_show(path)} is an empty file: nothing was run"
    return f"{_show(path)} {_explain_windows_end(path)}" if _has_windows_end(head) else None


def _explain_missing(name: str, path: str, code: int) -> str | None:
    """Return why there is no such command, or None where there is a file of its name."""
    if not name:
        return "The command is an empty text; name a program after --"
    if code not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
        return None
    if "/" not in path:
        cure = f"one is here: ./{name}" if os.path.isfile(name) else "check the name"
        return f"{_show(name)} was not found in PATH; {cure}"
    if code == errno.EACCES or os.path.exists(path):
        return None
    file = _find_above(path, lambda part: os.path.exists(part) and not os.path.isdir(part))
    if file is not None:
        return f"{_show(path)} was not found: {_show(file)} is not a directory"
    if os.path.islink(path):
        return f"{_show(path)} is a link to {_show(os.readlink(path))}, which does not exist"
    missing = _find_above(path, lambda part: not os.path.exists(part))
    cause = f": there is no folder {_show(missing)}" if missing else "; check the name"
    return f"{_show(path)} was not found{cause}"


def _explain_refused(path: str, code: int) -> str | None:
    """Return why a file cannot be executed, as a sentence without its subject, or None."""
    if code in (errno.EACCES, errno.EPERM, errno.EISDIR):
        return _explain_denied(path)
    if code == errno.ENOENT:
        return _explain_interpreter(path)
    if code == errno.ENOEXEC:
        return _explain_format(read_head(path) or b"")
    if code == errno.ELOOP and os.path.exists(path):
        return "names an interpreter that is a script itself, and so on; correct its first line"
    return {
        errno.ELOOP: f"leads through links that lead to each other; see: ls -l {_quote(path)}",
        errno.ENAMETOOLONG: f"is too long for a path ({len(os.fsencode(path))} bytes)",
        errno.ETXTBSY: "is being written by another process; start again when that has closed it",
        errno.E2BIG: "was given more arguments and environment than the system takes (ulimit -s)",
        errno.EAGAIN: "could not be started: this user may have no more processes (ulimit -u)",
        errno.ENOMEM: "could not be started: there is not enough memory for a process",
    }.get(code)


def _explain_denied(path: str) -> str | None:
    if os.path.isdir(path):
        return "is a directory; name a program in it"
    closed = _find_above(path, lambda part: not _may_execute(part))
    if closed is not None:
        return f"cannot be reached: the folder {_show(closed)} may not be entered"
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    if not _may_execute(path):
        return _explain_noexec(path) or f"is not executable; try: chmod +x {_quote(path)}"
    interpreter = _find_interpreter(read_head(path) or b"")
    if interpreter is None:
        return _explain_noexec(path)
    reason = _explain_denied(interpreter) or "cannot be executed"
    return f"names an interpreter that does not run: {_show(interpreter)} {reason}"


def _explain_noexec(path: str) -> str | None:
    with contextlib.suppress(OSError):
        if os.statvfs(path).f_flag & os.ST_NOEXEC:
            return "is on a file system that is mounted noexec; copy it to another"
    return None


def _explain_interpreter(path: str) -> str | None:
    head = read_head(path) or b""
    if _has_windows_end(head):
        return _explain_windows_end(path)
    if head.startswith(ELF_MAGIC):
        return "was built for another system: the loader that it names is not there (ldd shows it)"
    interpreter = _find_interpreter(head)
    if interpreter is None:
        return None
    if os.path.exists(interpreter):
        reason = _explain_interpreter(interpreter) or "cannot be executed"
        return f"names an interpreter that does not run: {_show(interpreter)} {reason}"
    return f"is there, but its interpreter {_show(interpreter)} is not; correct its first line"


def _explain_windows_end(path: str) -> str:
    return (
        r"has a first line that ends in a Windows line end (\r);"
        rf" convert the file: sed -i 's/\r$//' {_quote(path)}"
    )


def _explain_format(head: bytes) -> str:
    for start, system in _OTHER_SYSTEMS.items():
        if head.startswith(start):
            return f"is a program for {system}"
    if not head.startswith(ELF_MAGIC):
        return "is neither a program nor a script of text"
    machine = None
    with contextlib.suppress(struct.error, IndexError):
        (number,) = struct.unpack_from(">H" if head[5] == 2 else "<H", head, 18)
        machine = _MACHINES.get(number, f"another machine ({number})")
    own = os.uname().machine
    if machine is None or machine == own:
        return "is a program that is damaged, or for another system"
    return f"is a program for {machine}, and this machine is {own}"


def _find_interpreter(head: bytes) -> str | None:
    """Return what a first line names, as the kernel reads it."""
    if not head.startswith(b"#!"):
        return None
    words = head[2:].partition(b"\n")[0].split()
    return os.fsdecode(words[0]) if words else None


def _has_windows_end(head: bytes) -> bool:
    return head.startswith(b"#!") and head.partition(b"\n")[0].endswith(b"\r")


def _find_above(path: str, is_it: Callable[[str], bool]) -> str | None:
    """Return the first of the folders that lead to a path of which something holds."""
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        part = "/".join(parts[:count])
        if part and is_it(part):
            return part
    return None


def _may_execute(path: str) -> bool:
    return os.access(path, os.X_OK, effective_ids=True)


def _quote(path: str) -> str:
    return (
        path if path.isascii() and not set(path) & set(" '\"$`&|;<>()*?[]!\\~#\n\t") else repr(path)
    )


def _show(path: str) -> str:
    """Return a path in quotes, cut where it is very long."""
    return repr(path if len(path) <= _LONGEST_SHOWN else f"{path[:_LONGEST_SHOWN]}…")
