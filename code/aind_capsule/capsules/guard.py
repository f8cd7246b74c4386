"""The guard line, and `capsule guard PID SCRIPT [ARG…]`, whose output that line evaluates.

A script has the line under its `#!` line. The command prints `exec capsule run -- INTERPRETER`, and
the shell adds the script and its arguments. Whatever goes wrong, the script must go on: then
nothing is on stdout, one line on stderr, and the exit status is 0.

Every start of every guarded script pays for these imports: `os` and `sys` alone, which Python has
loaded anyway. `shlex`, `shutil` and `re` cost as much as all the rest. Formats: proc(5).
"""

from __future__ import annotations

import os
import sys

#: Its comment also takes the `\r` of a file with Windows line ends.
GUARD_LINE = (
    '[ "${CAPSULE_WRAPPER_PID-}" = "$PPID" ] || eval "$(capsule guard $$ "$0" "$@")"'
    "  # aind-capsule wraps this script; where it is missing, the script goes on"
)
_MARK = b"capsule guard"
#: The line is looked for in so much of the script.
_HEAD_BYTES = 4096
#: What `capsule run` adds to the arguments and the environment of the processing, at most.
_ROOM_BYTES = 32 * 1024
#: Between these, a quarter of the stack is the limit of arguments and environment: execve(2).
_LEAST_ARG_MAX, _MOST_ARG_MAX = 128 * 1024, 6 * 1024 * 1024
_SHELLS = frozenset(
    (b"sh", b"bash", b"dash", b"ash", b"zsh", b"ksh", b"mksh", b"lksh", b"yash", b"busybox")
)
_RESTRICTED_SHELLS = frozenset(b"r" + shell for shell in _SHELLS)
#: Long options of shells that take the next word.
_LONG_WITH_OPERAND = frozenset((b"rcfile", b"init-file", b"emulate"))
#: bash takes its long options with one dash too, where others read letters.
_BASH_LONG = _LONG_WITH_OPERAND | frozenset(
    b"debugger login noediting noprofile norc posix pretty-print restricted verbose".split()
)
_SAFE_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+:,./-")


class NotWrappedError(Exception):
    """Why this script goes on unwrapped, as a sentence without its end."""


def guard(arguments: list[str]) -> None:
    """Print what the shell has to evaluate.

    Args:
        arguments: The shell's pid, the script, the script's arguments.
    """
    try:
        pid, script, *rest = (os.fsencode(word) for word in arguments)
        _write(1, build_code(int(pid), script, rest))
    except KeyboardInterrupt:
        _die_of_interrupt()
    except NotWrappedError as error:
        _explain(str(error))
    except Exception as error:  # whatever it is, the script goes on
        _explain(f"capsule guard failed ({type(error).__name__}: {error})")


def build_code(pid: int, script: bytes, arguments: list[bytes]) -> bytes:
    """Return the shell code that starts a script again under `capsule run`.

    It is empty inside of a run. The shell itself adds script and arguments: it has their bytes.

    Raises:
        NotWrappedError: It cannot be started again as it was started.
    """
    if sys.platform != "linux":
        raise NotWrappedError("capsule run needs Linux")
    _check_proc()
    environ = _read_environ(pid)
    # The environment that the shell was started with: a profile that unsets the variable would
    # have the script started again and again.
    if environ.get(b"CAPSULE_WRAPPER_PID") == _read_parent(pid):
        return b""
    path = environ.get(b"PATH", b"")
    head = _read_head(script, path)
    if _MARK not in head:
        raise NotWrappedError(f"{_show(script)} is not the script's own file (sourced, or piped?)")
    tail = [script, *arguments]
    words = _find_interpreter(pid, tail, head, path)
    command = [*_find_launcher(), b"run", b"--", *words]
    _check_room([*command, *tail])
    return b"exec " + b" ".join(_quote(word) for word in command) + b' "$0" "$@"\n'


def _find_interpreter(pid: int, tail: list[bytes], head: bytes, path: bytes) -> list[bytes]:
    """Return the interpreter and its options, exactly as the script was started with them."""
    command_line = _read_command_line(pid)
    executable = _read_executable(pid)
    count = len(command_line) - len(tail)
    if count > 0 and command_line[count:] == tail:
        name, *options = drop_emulator(command_line[:count]) or [b""]
        letters = read_option_letters(name, options)
        if letters is not None and b"c" not in letters:
            if b"r" in letters or _get_base(name) in _RESTRICTED_SHELLS:
                raise NotWrappedError("a restricted shell forbids exec")
            program = _find_program(pid, name, executable, path)
            return [*program, *_keep_login(name, program), *options]
    # A text without a #! line: bash reads it in a copy of itself, whose command line is the
    # caller's and whose options are none. Other shells start a new one for it.
    if _get_base(executable) == b"bash" and not head.startswith(b"#!"):
        return [executable]
    raise NotWrappedError(f"the shell was not started with {_show(tail[0])} (sourced?)")


def drop_emulator(words: list[bytes]) -> list[bytes]:
    """Return the words from the shell on, where an emulator of another machine stands before it."""
    if not _get_base(words[0]).startswith((b"qemu-", b"rosetta")):
        return words
    while words and not _is_shell(words[0]):
        words = words[1:]
    if len(words) > 1 and _get_base(words[1]) == _get_base(words[0]):
        del words[1]  # the shell's own argv[0], which some emulators pass behind its path
    return words


def read_option_letters(shell: bytes, words: list[bytes]) -> bytes | None:
    """Return the single-letter options of a shell, or None where other words are among them.

    >>> read_option_letters(b"bash", [b"-euo", b"pipefail", b"-O", b"extglob", b"--"])
    b'euoO'
    >>> read_option_letters(b"bash", [b"caller.sh"]) is None
    True
    """
    letters = b""
    base = _get_base(shell)
    has_attached_operands = base in (b"zsh", b"ksh", b"mksh", b"lksh")
    waiting = list(words)
    if base == b"busybox" and not (waiting and _is_shell(waiting.pop(0))):
        return None
    while waiting:
        word = waiting.pop(0)
        if word in (b"-", b"--"):
            return None if waiting else letters
        name = word.lstrip(b"-")
        if word[:2] == b"--" or (base == b"bash" and word[:1] == b"-" and name in _BASH_LONG):
            if name == b"restricted":
                letters += b"r"
            if name in _LONG_WITH_OPERAND:
                del waiting[:1]
        elif word[:1] in (b"-", b"+"):
            for index in range(1, len(word)):
                letter = word[index : index + 1]
                letters += letter
                if letter not in (b"o", b"O"):
                    continue
                if has_attached_operands and word[index + 1 :]:
                    break
                if waiting[:1] == [b"restricted"]:
                    letters += b"r"
                del waiting[:1]
        else:
            return None
    return letters


def _find_program(pid: int, name: bytes, executable: bytes, path: bytes) -> list[bytes]:
    """Return the words that start the very program that runs the script."""
    name = name.lstrip(b"-")
    # None found is never the executable.
    found = name if b"/" in name else find_in_path(name, path, os.X_OK)
    # Below an emulator the executable is the emulator, no shell.
    if not _is_shell(executable) or _is_executable_of(pid, found):
        return [found or name]
    if _get_base(executable) == b"busybox":  # which needs the name to know what it is
        return [executable, _get_base(name)]
    return [executable]


def _keep_login(name: bytes, program: list[bytes]) -> list[bytes]:
    """Return the option that says what a `-` before the shell's name says."""
    if not name.startswith(b"-"):
        return []
    return [b"--login" if _get_base(program[0]) == b"bash" else b"-l"]


def _find_launcher() -> list[bytes]:
    """Return the words that start this very `capsule`, whatever PATH a profile has set.

    Where the console script starts Python as it was started now, it stands for both.
    """
    count = len(sys.orig_argv) - len(sys.argv) + 1
    words = [sys.executable or sys.orig_argv[0], *sys.orig_argv[1:count]]
    if words[-1] == sys.argv[0]:  # a file, not `-m aind_capsule`
        *before, script = words
        words[-1] = os.path.abspath(script)
        if os.access(script, os.X_OK) and _read_first_line(script) == f"#!{' '.join(before)}":
            words = words[-1:]
    return [os.fsencode(word) for word in words]


def _read_first_line(path: str) -> str:
    with open(path, "rb") as file:
        return os.fsdecode(file.readline(_HEAD_BYTES).rstrip())


def _check_proc() -> None:
    """Make sure that /proc shows this system's processes under the numbers that we see."""
    try:
        own = os.readlink("/proc/self")
    except OSError:
        raise NotWrappedError("there is no /proc") from None
    if own != str(os.getpid()):
        raise NotWrappedError("/proc is that of another process namespace")


def _check_room(command: list[bytes]) -> None:
    """Make sure that the longer command line, and the child's after it, can be executed."""
    pointer_bytes = 8
    words = [*command, *(name + b"=" + value for name, value in os.environb.items())]
    needed = sum(len(word) + 1 + pointer_bytes for word in words) + _ROOM_BYTES
    if needed <= _LEAST_ARG_MAX:
        return
    import resource

    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    limit = _MOST_ARG_MAX
    if stack != resource.RLIM_INFINITY:
        limit = max(_LEAST_ARG_MAX, min(limit, stack // 4))
    if needed > limit:
        raise NotWrappedError(
            f"arguments and environment leave no room for more ({needed:,} of {limit:,} bytes)"
        )


def _read_environ(pid: int) -> dict[bytes, bytes]:
    """Return what the shell was started with. Where that is not ours to read: what it exports."""
    try:
        data = _read(f"/proc/{pid}/environ")
    except PermissionError:
        return dict(os.environb)
    pairs = (item.partition(b"=") for item in data.split(b"\0"))
    return {name: value for name, _, value in pairs}


def _read_parent(pid: int) -> bytes:
    # The name in parentheses may hold anything, `)` too.
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1]


def _read_command_line(pid: int) -> list[bytes]:
    return _read(f"/proc/{pid}/cmdline").removesuffix(b"\0").split(b"\0")


def _read_executable(pid: int) -> bytes:
    """Return the program's path, or nothing where that is not ours to read."""
    try:
        return os.readlink(os.fsencode(f"/proc/{pid}/exe"))
    except PermissionError:
        return b""


def _is_executable_of(pid: int, path: bytes) -> bool:
    try:
        return os.path.samefile(path, f"/proc/{pid}/exe".encode())
    except OSError:
        return False


def _read_head(script: bytes, path: bytes) -> bytes:
    """Return the script's first bytes; none where it is no regular file, such as a pipe."""
    found = script
    if not os.path.isfile(script):  # `bash run` looks there too
        found = find_in_path(script, path, os.R_OK)
    if not os.path.isfile(found):
        return b""
    with open(found, "rb") as file:
        return file.read(_HEAD_BYTES)


def find_in_path(name: bytes, path: bytes, mode: int) -> bytes:
    """Return the first file of that name that allows a mode of `os.access`, or nothing."""
    for folder in path.split(b":"):
        found = os.path.join(folder or b".", name)
        if os.path.isfile(found) and os.access(found, mode):
            return found
    return b""


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _is_shell(word: bytes) -> bool:
    """Return whether a program is called like a shell (`bash-5.2` and `ksh93` too)."""
    base = _get_base(word).partition(b"-")[0].rstrip(b".0123456789")
    return base in _SHELLS or base in _RESTRICTED_SHELLS


def _get_base(word: bytes) -> bytes:
    return word.rpartition(b"/")[2].lstrip(b"-")


def _quote(word: bytes) -> bytes:
    """Quote a word for the shell. Not by shlex, which takes text and imports `re`."""
    if word and _SAFE_BYTES.issuperset(word):
        return word
    return b"'" + word.replace(b"'", b"'\"'\"'") + b"'"


def _show(word: bytes) -> str:
    return repr(os.fsdecode(word))


def _explain(reason: str) -> None:
    """Say on stderr, in one line, why the script goes on unwrapped."""
    shown = "".join(c if c.isprintable() else "?" for c in reason)
    try:
        text = f"aind-capsule: {shown}; going on without it\n"
        _write(2, text.encode("utf-8", "backslashreplace"))
    except OSError:  # closed: nobody is there to be told
        pass


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _die_of_interrupt() -> None:
    """End as Ctrl-C ends a program, by which the shell knows to end as well."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
