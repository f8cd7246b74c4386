"""Whether a checkout is its commit: what git itself says of changed and of new files.

Called by `code_version`. It starts `git`, where that is installed, and nothing else; it never
writes into the repository and never asks the network.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aind_capsule.context.git_files import GitCheckout

_LIMIT_S = 2.0
_MAX_NAMES = 5
#: Files that Python and notebooks leave beside the code.
_BYPRODUCTS = ("__pycache__/", ".pyc")
#: How git says that a repository is another user's: since 2.37, and before.
_FOREIGN = ("dubious ownership", "unsafe repository")


@dataclass(frozen=True, slots=True)
class GitStatus:
    """What git says of a checkout.

    Attributes:
        is_dirty: Whether files that git knows were changed since the commit; None is unknown.
        commit: The commit, in any format of repository; None before the first one.
        is_unborn: Whether there is no commit yet.
        holds_code: Whether the commit has anything of the folder of the code.
        untracked: New files and folders beside the code, which no commit holds.
        problem: Why git could not be asked, for people.
    """

    is_dirty: bool | None = None
    commit: str | None = None
    is_unborn: bool = False
    holds_code: bool = True
    untracked: tuple[str, ...] = ()
    problem: str | None = None


class _GitError(Exception):
    """Git gave no answer; the message says why."""


class _NoObjectError(_GitError):
    """Git has answered that there is no such thing."""


def read_git_status(
    checkout: GitCheckout,
    code_folder: str,
    environ: Mapping[str, str],
    *,
    ignored: Collection[str] = (),
) -> GitStatus:
    """Ask git about a checkout, for two seconds at most.

    Args:
        checkout: The checkout.
        code_folder: The folder of the code that runs, in which new files are looked for.
        environ: The environment.
        ignored: Folders in which new files are no code, such as results.
    """
    git = _Git(environ, time.monotonic() + _LIMIT_S, is_ours=_has_owner_of(checkout, code_folder))
    status = ["status", "--porcelain=v2", "--branch", "--no-renames", "-z"]
    try:
        output = git.ask(
            checkout.folder, [*status, "--untracked-files=no", "--ignore-submodules=none"]
        )
        commit, changed, inner = _parse_status(output)
    except _GitError as error:
        return GitStatus(problem=str(error))
    is_unborn = commit == "(initial)"
    if not is_unborn and not git.has(code_folder, "HEAD:./"):
        return GitStatus(commit=commit, holds_code=False)
    try:
        untracked = [*inner, *_find_untracked(git, code_folder, ignored)]
    except _GitError:
        untracked = inner
    return GitStatus(
        is_dirty=None if is_unborn else changed,
        commit=None if is_unborn else commit,
        is_unborn=is_unborn,
        untracked=tuple(untracked),
    )


def describe_names(names: Sequence[str]) -> str:
    """Name files for people, the first of many.

    >>> describe_names(["a.py", "b/"]), describe_names(list("abcdefg"))
    ('a.py, b/', 'a, b, c, d, e and 2 more')
    """
    more = len(names) - _MAX_NAMES
    shown = [name if name.isprintable() else ascii(name) for name in names[:_MAX_NAMES]]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _has_owner_of(checkout: GitCheckout, code_folder: str) -> bool:
    """Return whether who owns the code that runs also owns the repository.

    The code of that user is run anyway, so that programs that the repository names may run too.
    """
    paths = (code_folder, checkout.folder, os.path.join(checkout.folder, ".git"))
    try:
        return len({os.stat(path).st_uid for path in paths}) == 1
    except (OSError, ValueError):
        return False


class _Git:
    """The program, with an environment in which it neither writes nor asks.

    Args:
        environ: The environment.
        deadline: When no more is waited for it.
        is_ours: Whether a repository of another user is looked at all the same.
    """

    def __init__(self, environ: Mapping[str, str], deadline: float, *, is_ours: bool) -> None:
        # Variables such as GIT_DIR would lead it to another repository.
        self._environ = {name: environ[name] for name in environ if not name.startswith("GIT_")}
        self._environ |= {"LC_ALL": "C", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
        self._deadline = deadline
        self._is_ours = is_ours

    def has(self, folder: str, name: str) -> bool:
        """Return whether git knows an object by a name, or gives no answer."""
        try:
            self.ask(folder, ["rev-parse", "--verify", "--quiet", name])
        except _NoObjectError:
            return False
        except _GitError:
            return True
        return True

    def ask(self, folder: str, arguments: Sequence[str]) -> str:
        """Return what a command of git writes.

        Raises:
            _GitError: There is no answer.
        """
        status, output, errors = self._run(folder, arguments, self._environ)
        if status != 0 and self._is_ours and any(text in errors for text in _FOREIGN):
            status, output, errors = self._run_as_owner(folder, arguments)
        if status == 1 and not errors.strip():
            raise _NoObjectError("git ended with status 1")
        if status != 0:
            lines = errors.strip().splitlines() or [f"git ended with status {status}"]
            raise _GitError(lines[0] if lines[0].isprintable() else ascii(lines[0]))
        return output

    def _run_as_owner(self, folder: str, arguments: Sequence[str]) -> tuple[int, str, str]:
        """Run it as if the repository were ours.

        Older versions take that from a file of the user's alone: one in memory, which includes the
        real ones.
        """
        if not hasattr(os, "memfd_create"):
            return self._run(folder, ["-c", "safe.directory=*", *arguments], self._environ)
        home = self._environ.get("HOME", "")
        above = self._environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        real = (os.path.join(above, "git", "config"), os.path.join(home, ".gitconfig"))
        text = "[safe]\n\tdirectory = *\n"
        text += "".join(f'[include]\n\tpath = "{path}"\n' for path in real if os.path.isabs(path))
        fd = os.memfd_create("gitconfig")
        try:
            os.write(fd, text.encode("utf-8", "surrogateescape"))
            environ = {**self._environ, "GIT_CONFIG_GLOBAL": f"/proc/self/fd/{fd}"}
            return self._run(folder, ["-c", "safe.directory=*", *arguments], environ, fds=(fd,))
        finally:
            os.close(fd)

    def _run(
        self,
        folder: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *,
        fds: Sequence[int] = (),
    ) -> tuple[int, str, str]:
        import subprocess  # slow to import, and few runs are in a checkout

        # A watcher of files is a program of the repository's choice.
        options = ["--no-optional-locks", "-c", "core.fsmonitor=false", "-C", folder]
        try:
            done = subprocess.run(
                ["git", *options, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=environ,
                timeout=max(0.0, self._deadline - time.monotonic()),
                check=False,
                pass_fds=fds,
            )
        except FileNotFoundError as error:
            raise _GitError("git is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise _GitError(f"git did not answer in {_LIMIT_S:g} s") from error
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise _GitError(f"git cannot be started: {error}") from error
        output, errors = (
            data.decode("utf-8", "surrogateescape") for data in (done.stdout, done.stderr)
        )
        return done.returncode, output, errors


def _parse_status(output: str) -> tuple[str, bool, list[str]]:
    """Return the commit, whether anything was changed, and submodules with new files alone."""
    commit, changed, untracked = "", False, []
    for entry in output.split("\0"):
        if entry.startswith("# "):
            name, _, value = entry[2:].partition(" ")
            commit = value if name == "branch.oid" else commit
        elif entry:
            fields = entry.split(" ", 8)
            if fields[:3] == ["1", ".M", "S..U"]:
                untracked.append(fields[-1] + "/")
            else:
                changed = True
    return commit, changed, untracked


def _find_untracked(git: _Git, code_folder: str, ignored: Collection[str]) -> list[str]:
    """Return new files below a folder that are no by-products."""
    command = ["ls-files", "--others", "--exclude-standard", "--directory", "--no-empty-directory"]
    output = git.ask(code_folder, [*command, "-z", "--", "."])
    skipped = {os.path.realpath(path) for path in ignored}
    found = []
    for name in output.split("\0"):
        is_byproduct = name.endswith(_BYPRODUCTS) or any(
            part.startswith(".") for part in name.split("/")
        )
        if name and not is_byproduct:
            path = os.path.realpath(os.path.join(code_folder, name))
            if path not in skipped:
                found.append(name)
    return sorted(found)
