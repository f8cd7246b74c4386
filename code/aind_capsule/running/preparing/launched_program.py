"""The program behind interpreters other than shells, and behind launchers such as `nice` and `env`.

Read by `command_line`.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence

from aind_capsule.running.preparing.command_line import (
    Kind,
    Program,
    build_script,
    find_base_name,
    find_script_of_shell,
    is_shell,
    strip_version,
)
from aind_capsule.running.preparing.program_table import (
    INTERPRETERS,
    LAUNCHERS,
    PYTHON_LAUNCHERS,
    SUBCOMMAND_INTERPRETERS,
    Launcher,
    OptionTable,
    Role,
)

#: A command line may begin with at most this many launchers (`nice time env …`).
_MAX_LAUNCHERS = 20
#: What a statement of MATLAB calls: `main`, `main(1, 2)`, `run('x/main.m')`.
_RUN_OF_MATLAB = r"run\s*(?:\(\s*)?['\"]?([\w./-]+)"
_CALL_OF_MATLAB = r"([A-Za-z][\w.]*)\s*(?:\(.*)?"
#: `x = main(1)`, `[a, b] = main(1)`
_ASSIGNED_CALL_OF_MATLAB = r"(?:\w+|\[[^]]*\])\s*=\s*([A-Za-z][\w.]*)\s*\(.*"
_STRING_OF_MATLAB = r"(?<![\w.'\])}])'[^'\n]*'|\"[^\"\n]*\""
_BRACKETS = r"[(\[{][^()\[\]{}]*[)\]}]"
_PREPARATIONS_OF_MATLAB = frozenset(
    {"addpath", "catch", "cd", "clear", "clc", "close", "diary", "disp", "end", "exit", "format",
     "fprintf", "import", "parpool", "quit", "restoredefaultpath", "rng", "setenv", "try",
     "warning"}
)  # fmt: skip


def find_launched_program(words: list[str]) -> Program:
    """Return the processing's own program of a command line that has words."""
    folders: list[str] = []
    program = _find_launched(words, folders)
    return dataclasses.replace(program, folder=os.path.join(*folders)) if folders else program


def _find_launched(words: list[str], folders: list[str]) -> Program:
    """Return the program; the folders that launchers go to are added to `folders`."""
    may_be_python = False
    for _ in range(_MAX_LAUNCHERS):
        launcher, rest = _find_launcher(words)
        if launcher is None:
            break
        found = _skip_launcher(launcher, rest, folders)
        if isinstance(found, Program):
            return found
        if not found or found[0].startswith("-"):  # nothing is launched: it is the program itself
            break
        words, may_be_python = found, launcher.runs_python
    if may_be_python and words[0].endswith(".py"):
        return Program(Kind.SCRIPT, words[0], tuple(words[1:]), "python")
    return _find_interpreted(words, folders)


def _find_interpreted(words: list[str], folders: list[str]) -> Program:
    """Return the script, module or code behind an interpreter; else the command itself."""
    if is_shell(words[0]):
        return find_script_of_shell(words)
    name = strip_version(words[0])
    program = _find_behind_subcommand(words, name, folders)
    if program is not None:
        return program
    options = INTERPRETERS.get(name)
    if options is None:
        return Program(Kind.COMMAND, words[0], tuple(words[1:]))
    program = _find_operand(words[0], words[1:], options, folders)
    if program.kind is not Kind.MODULE:
        return program
    # A module may run a script itself: `python -m cProfile script.py`.
    options = PYTHON_LAUNCHERS.get(program.word)
    if options is not None:
        return _find_operand(program.word, program.arguments, options, folders)
    return (
        _find_behind_subcommand([program.word, *program.arguments], program.word, folders)
        or program
    )


def _find_behind_subcommand(words: list[str], name: str, folders: list[str]) -> Program | None:
    """Return what `jupyter nbconvert` and its like run, or None."""
    for length in (2, 3):
        options = SUBCOMMAND_INTERPRETERS.get((name, *words[1:length]))
        if options is not None:
            return _find_operand(words[0], words[length:], options, folders)
    return None


def _find_operand(
    interpreter: str, words: Sequence[str], options: OptionTable, folders: list[str]
) -> Program:
    """Return what an interpreter runs: an option's operand, or the first word that is no option."""
    index, role, value = _read_options(words, options, folders)
    rest = tuple(words[index:])
    if role is Role.CODE:
        while len(rest) > 1 and options.roles.get(rest[0]) is Role.CODE:  # `Rscript -e 1 -e 2`
            rest = rest[2:]
        return Program(Kind.CODE, "", rest, interpreter)
    if role is Role.STATEMENT:
        called = _find_call_of_matlab(value)
        kind = Kind.MODULE if called else Kind.CODE
        return Program(kind, called, rest, interpreter)
    if role is Role.MODULE:
        return Program(Kind.MODULE, value, rest, interpreter)
    if role is Role.SCRIPT:
        return build_script(value, interpreter, rest)
    if not rest or rest[0] == "-":  # from stdin
        return Program(Kind.CODE, "", rest[1:], interpreter)
    return build_script(rest[0], interpreter, rest[1:])


def _find_launcher(words: list[str]) -> tuple[Launcher | None, list[str]]:
    """Return the launcher that a command line begins with, and the words behind its name."""
    name = find_base_name(words[0])
    if name.startswith("qemu-") or name == "rosetta":  # programs of another processor
        return LAUNCHERS[("busybox",)], words[1:]
    for length in (1, 2, 3):
        launcher = LAUNCHERS.get((name, *words[1:length]))
        if launcher is not None:
            return launcher, words[length:]
    return None, words


def _skip_launcher(launcher: Launcher, words: list[str], folders: list[str]) -> list[str] | Program:
    """Return the command that a launcher runs, or the program that one of its options names."""
    if launcher.is_behind_dashes:
        return words[words.index("--") + 1 :] if "--" in words else []
    index, role, value = _read_options(words, launcher.options, folders)
    rest = words[index:]
    if role is Role.MODULE:
        return Program(Kind.MODULE, value, tuple(rest), "python")
    if role is Role.SCRIPT:
        return Program(Kind.SCRIPT, value, tuple(rest), "python")
    if role is Role.COMMAND:
        import shlex  # few commands have it

        try:
            rest = [*shlex.split(value), *rest]
        except ValueError:  # a quotation without an end; env fails too
            return []
        return _skip_launcher(launcher, rest, folders)
    while launcher.takes_assignments and rest and (rest[0] == "-" or _is_assignment(rest[0])):
        rest = rest[1:]
    return rest[launcher.operands :]


def _read_options(
    words: Sequence[str], options: OptionTable, folders: list[str]
) -> tuple[int, Role | None, str]:
    """Read options up to the first one that says what is run, or the first word that is none.

    Returns:
        The index of the word behind them, the role of the option that ended it, and its operand.
    """
    index = 0
    while index < len(words):
        word = words[index]
        if word == "--":
            return index + 1, None, ""
        if len(word) < 2 or word[0] != "-":
            break
        index += 1
        option, value = _split_option(word, options)
        role = options.roles.get(option)
        if role is None or role is Role.GLUED:
            continue
        if role is Role.PAIR:
            index += 2
            continue
        if value is None:
            value = words[index] if index < len(words) else ""
            index += 1
        if role is Role.FOLDER:
            folders.append(value)
        elif role is not Role.SKIP:
            return min(index, len(words)), role, value
    return min(index, len(words)), None, ""


def _split_option(word: str, options: OptionTable) -> tuple[str, str | None]:
    """Return the option of a word that takes an operand, and the operand where it is in the word.

    >>> from aind_capsule.running.preparing.program_table import INTERPRETERS
    >>> _split_option("-uc", INTERPRETERS["python"]), _split_option("-Wd", INTERPRETERS["python"])
    (('-c', None), ('-W', 'd'))
    """
    if word in options.roles:
        return word, None
    if word.startswith("--") or not options.has_clusters:
        name, sign, value = word.partition("=")
        return name, value if sign else None
    for position, letter in enumerate(word[1:], 1):
        if f"-{letter}" in options.roles:
            return f"-{letter}", word[position + 1 :] or None
    return word, None


def _find_call_of_matlab(code: str) -> str:
    """Return the script or function that MATLAB code calls first, without its preparations.

    >>> _find_call_of_matlab("addpath('/code'); sort_spikes(3); exit")
    'sort_spikes'
    >>> _find_call_of_matlab("x = rand(3), fit(x)"), _find_call_of_matlab("[a, b] = fit(3)")
    ('fit', 'fit')
    >>> _find_call_of_matlab("run('code/main.m')"), _find_call_of_matlab("x = 3")
    ('code/main.m', '')
    """
    assigned = ""
    for statement in _split_statements(code):
        text = re.sub(r"^\s*try\b[\s,]*", "", statement).strip()
        match = re.fullmatch(_RUN_OF_MATLAB, text.rstrip(")'\" ")) or re.fullmatch(
            _CALL_OF_MATLAB, text
        )
        if match and match[1] not in _PREPARATIONS_OF_MATLAB:
            return match[1]
        match = re.fullmatch(_ASSIGNED_CALL_OF_MATLAB, text)
        assigned = assigned or (match[1] if match else "")
    return assigned


def _split_statements(code: str) -> list[str]:
    """Return MATLAB's statements. A comma or semicolon in brackets or a string ends none."""

    def mask(match: re.Match[str]) -> str:
        return "_" * len(match[0])

    masked, before = re.sub(_STRING_OF_MATLAB, mask, code), ""
    while masked != before:
        masked, before = re.sub(_BRACKETS, mask, masked), masked
    ends = [match.start() for match in re.finditer(r"[;,\n]", masked)]
    return [
        code[start:end]
        for start, end in zip([0, *(n + 1 for n in ends)], [*ends, None], strict=True)
    ]


def _is_assignment(word: str) -> bool:
    name, sign, _ = word.partition("=")
    return bool(sign) and name.isidentifier()
