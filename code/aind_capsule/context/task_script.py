"""Which code a pipeline task runs, as its `.command.sh` says: what it clones and checks out.

Called by `code_version`. Nothing of the script is executed. Source: scripts that the platform
generates (`git clone --branch v3.0 "https://$GIT_ACCESS_TOKEN@$GIT_HOST/capsule-1.git"
capsule-repo`, or a clone with `git -C capsule-repo checkout <commit> --quiet` behind it), and those
that people write for SLURM (`clone_repo <address> <commit>`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aind_capsule.context.code_addresses import strip_credentials

#: The folder into which every generated script clones the capsule.
_FOLDER = "capsule-repo"
_CLONE_FUNCTION = "clone_repo"
_COMMIT = re.compile(r"[0-9a-fA-F]{7,60}")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.ASCII)
_KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time", "exec"}
)
_GIT_OPTIONS = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env"})
_CLONE_OPTIONS = frozenset(
    {
        "-b", "--branch", "-o", "--origin", "-u", "--upload-pack", "--template", "-c", "--config",
        "--depth", "--shallow-since", "--shallow-exclude", "-j", "--jobs", "--reference",
        "--reference-if-able", "--separate-git-dir", "--server-option", "--filter", "--bundle-uri",
    }
)  # fmt: skip
_CHECKOUT_OPTIONS = frozenset({"-b", "-B", "--orphan", "--conflict", "--pathspec-from-file"})


@dataclass(frozen=True, slots=True)
class ClonedCode:
    """The code of a task.

    Attributes:
        url: Without credentials; None where it names a variable that is not set.
        version: The tag or branch.
        repository: The last part of the address, `capsule-<slug>` on the platform.
    """

    url: str | None
    version: str | None
    commit: str | None
    repository: str


def find_cloned_code(script: str, environ: Mapping[str, str]) -> ClonedCode | None:
    """What a task's script clones for the capsule's code, or None where it clones nothing.

    Args:
        script: The text of `.command.sh`.
        environ: The environment, for variables in addresses.
    """
    clones: list[tuple[bool, str, str | None]] = []
    checkouts: list[tuple[bool, str]] = []
    for words in _split_commands(script):
        if words[0] == _CLONE_FUNCTION and len(words) > 1:
            clones.append((True, words[1], None))
            checkouts += [(True, word) for word in words[2:3]]
        elif words[0] == "git":
            options, command, arguments = _parse_git(words[1:])
            if command == "clone":
                given, rest = _parse_options(arguments, _CLONE_OPTIONS)
                # The body of a function names its arguments (`$1`), which says nothing.
                if rest and (not _VARIABLE.fullmatch(rest[0]) or _expand(rest[0], environ)):
                    branch = given.get("--branch", given.get("-b"))
                    clones.append((_FOLDER in rest[1:], rest[0], branch))
            elif command == "checkout" and options.get("-C", _FOLDER) == _FOLDER:
                _, rest = _parse_options(arguments, _CHECKOUT_OPTIONS)
                checkouts += [("-C" in options, word) for word in rest[:1]]
    if not clones:
        return None
    _, address, branch = max(clones, key=lambda clone: clone[0])  # the first of equals
    refs = (_expand_ref(ref, environ) for _, ref in sorted(checkouts, key=lambda it: not it[0]))
    ref = next(filter(None, refs), None)
    is_commit = ref is not None and _COMMIT.fullmatch(ref) is not None
    version = _expand_ref(branch, environ) if branch else None
    if ref is not None and ref != "HEAD" and not is_commit:
        version = ref
    # Credentials go first, for their variables may be unknown; a variable may hold more of them.
    bare = strip_credentials(address) or ""
    url = strip_credentials(_expand(bare, environ))
    name = (url or bare).rstrip("/").rpartition("/")[2].removesuffix(".git")
    return ClonedCode(url, version, ref.lower() if ref and is_commit else None, name)


def _expand_ref(word: str, environ: Mapping[str, str]) -> str | None:
    """A tag or branch; None for what git takes for none, such as an address with a password."""
    ref = _expand(word, environ)
    return None if ref is None or ":" in ref else ref


def _split_commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a script, as far as its lines can be read one by one."""
    for line in script.replace("\\\n", " ").splitlines():
        if "git" not in line and _CLONE_FUNCTION not in line:
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
        lexer.whitespace_split = True
        command: list[str] = []
        try:
            for word in lexer:
                if word.strip(";&|()"):
                    command.append(word)
                    continue
                yield from _strip_prefix(command)
                command = []
        except ValueError:  # a quotation that goes on in the next line
            continue
        yield from _strip_prefix(command)


def _strip_prefix(words: list[str]) -> Iterator[list[str]]:
    """The command without what may stand before its name; nothing where nothing is left."""
    while words and (words[0] in _KEYWORDS or _ASSIGNMENT.fullmatch(words[0])):
        words = words[1:]
    if words:
        yield words


def _parse_git(words: list[str]) -> tuple[dict[str, str], str, list[str]]:
    """Git's own options, its command, and that one's arguments."""
    options: dict[str, str] = {}
    while words and words[0].startswith("-"):
        count = 2 if words[0] in _GIT_OPTIONS else 1
        options[words[0]] = words[1] if count == 2 and len(words) > 1 else ""
        words = words[count:]
    return options, words[0] if words else "", words[1:]


def _parse_options(
    words: list[str], with_value: frozenset[str]
) -> tuple[dict[str, str], list[str]]:
    """Options by name, and the other arguments."""
    options: dict[str, str] = {}
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        name, mark, value = word.partition("=")
        if word == "--":
            rest += waiting
        elif not word.startswith("-"):
            rest.append(word)
        elif mark:
            options[name] = value
        else:
            options[word] = next(waiting, "") if word in with_value else ""
    return options, rest


def _expand(text: str, environ: Mapping[str, str]) -> str | None:
    """Text with its variables; None where one is not set, or something else is to be run."""
    values = _VARIABLE.sub(lambda match: environ.get(match[1] or match[2], ""), text)
    names = [match[1] or match[2] for match in _VARIABLE.finditer(text)]
    if not values or not values.isprintable() or not all(environ.get(name) for name in names):
        return None
    return None if "`" in text or "$" in _VARIABLE.sub("", text) else values
