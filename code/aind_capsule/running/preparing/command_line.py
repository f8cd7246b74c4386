"""Which program of a command line is the processing's own, behind interpreters and launchers.

Read by `identity` for the process's name, by `parameters`, and by `prepare` for where
`capsule.toml` is looked for. It looks at words only, never at files.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from aind_capsule.frozen import frozen

_SHELLS = frozenset(
    {"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "lksh", "pdksh", "rbash", "rksh", "rzsh"}
)
_SHELL_OPTIONS_WITH_VALUE = frozenset({"--rcfile", "--init-file", "--emulate"})


class Kind(Enum):
    """What the processing's own program is."""

    COMMAND = "command"  # looked for in PATH, where its name has no slash
    SCRIPT = "script"  # a file that an interpreter reads
    MODULE = "module"  # of Python, or a function of MATLAB
    CODE = "code"  # from the command line or stdin; it has no name


@frozen
class Program:
    """The processing's own program.

    Attributes:
        kind: What it is.
        word: As the command line names it; empty for code.
        arguments: What it is given.
        interpreter: The program that runs it; empty where it runs by itself.
        folder: Where a launcher starts it (`env -C`); empty where that is the working directory.
    """

    kind: Kind
    word: str
    arguments: tuple[str, ...] = ()
    interpreter: str = ""
    folder: str = ""


def find_program(command: Sequence[str]) -> Program:
    """Return the processing's own program of a command line.

    >>> find_program(["bash", "-eo", "pipefail", "./run", "--rate", "3"]).word
    './run'
    >>> program = find_program(["nice", "-n", "5", "python", "-X", "dev", "-m", "pkg", "x"])
    >>> program.kind, program.word, program.arguments, program.interpreter
    (<Kind.MODULE: 'module'>, 'pkg', ('x',), 'python')
    >>> find_program(["env", "-C", "code", "-S", "bash -e", "run"]).folder
    'code'
    """
    words = list(command)
    if not words:
        return Program(Kind.COMMAND, "")
    if is_shell(words[0]):
        return find_script_of_shell(words)
    # Most capsules begin with a shell, and the time before the processing's start is dear.
    from aind_capsule.running.preparing.launched_program import find_launched_program

    return find_launched_program(words)


def is_shell(word: str) -> bool:
    """Return whether a word is a shell whose options `find_script_of_shell` reads."""
    return strip_version(word) in _SHELLS


def find_script_of_shell(words: list[str]) -> Program:
    """Return a shell's script: each `o` and `O` of a cluster takes a word, `-c` makes it code."""
    index, is_code, is_stdin = 1, False, False
    while index < len(words):
        word = words[index]
        if word in ("-", "--"):
            index += 1
            break
        if len(word) < 2 or word[0] not in "-+":
            break
        index += 1
        if word.startswith("--"):
            index += word in _SHELL_OPTIONS_WITH_VALUE
            continue
        index += word.count("o") + word.count("O")
        is_code = is_code or "c" in word
        is_stdin = is_stdin or "s" in word
    rest = tuple(words[index:])
    if is_code or not rest:
        return Program(Kind.CODE, "", rest[1:], words[0])
    if is_stdin:
        return Program(Kind.CODE, "", rest, words[0])
    return build_script(rest[0], words[0], rest[1:])


def build_script(path: str, interpreter: str, arguments: tuple[str, ...]) -> Program:
    """Return a script; what is no file that stays (`<(…)`, `/dev/stdin`) is code."""
    if not path or path.startswith(("/dev/", "/proc/")):
        return Program(Kind.CODE, "", arguments, interpreter)
    return Program(Kind.SCRIPT, path, arguments, interpreter)


def find_base_name(word: str) -> str:
    """Return a program's name without its folder."""
    return word.rpartition("/")[2]


def strip_version(word: str) -> str:
    """Return a program's base name without the version of it.

    >>> strip_version("/usr/bin/python3.12"), strip_version("-bash"), strip_version("octave-cli")
    ('python', 'bash', 'octave-cli')
    """
    name = find_base_name(word).removeprefix("-").removesuffix(".exe").removesuffix("-dbg")
    return name.rstrip("0123456789.").removesuffix("-") or name
