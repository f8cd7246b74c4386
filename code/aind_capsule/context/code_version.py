"""Which version of the code runs: address, commit, tag, and whether it was changed since.

Called by `running`. At run time a capsule's `.git` is mostly gone, so several places are asked. It
writes nothing; the one program that it may start is `git status`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aind_capsule.context.code_addresses import strip_credentials
from aind_capsule.context.files import UnusableFileError, read_json_object, read_text
from aind_capsule.context.git_files import find_git_checkout
from aind_capsule.context.git_status import describe_names, read_git_status
from aind_capsule.context.platform import read_variable
from aind_capsule.context.task_script import find_cloned_code

STAMP_NAME = ".capsule-version.json"
COMMIT_VARIABLES = ("CO_COMMIT", "GIT_COMMIT", "COMMIT_ID")
_COMMIT = re.compile(r"[0-9a-fA-F]{7,60}")
_MAX_BYTES = 1024 * 1024
_MAX_CHARS = 2048


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """What is known; None is unknown.

    Attributes:
        url: Without credentials.
        commit: In small letters; may be shortened.
        version: A tag, or the branch that a pipeline names.
        is_dirty: Whether files that git knows were changed since the commit.
        found_in: Where all this was found, for people.
        notes: What else belongs to it, such as that it is not known whether files were changed.
    """

    url: str | None = None
    commit: str | None = None
    branch: str | None = None
    version: str | None = None
    is_dirty: bool | None = None
    found_in: str = ""
    notes: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return it as JSON, without what is not known."""
        told = {**asdict(self), "notes": list(self.notes) or None}
        return {name: value for name, value in told.items() if value is not None}


def find_code_version(
    code_folder: str,
    environ: Mapping[str, str],
    task_command_file: str | None = None,
    *,
    ignored: Collection[str] = (),
) -> CodeVersion | None:
    """The version of the code in a folder, from the first place that knows anything, or None.

    The places: the stamp of a build (`.capsule-version.json` in the folder), the script of the
    pipeline task, variables, the git repository around the folder.

    Args:
        code_folder: The capsule's code.
        environ: The environment.
        task_command_file: The task's `.command.sh`, inside a pipeline.
        ignored: Folders in which new files are no code, such as results.
    """
    found = _read_stamp(os.path.join(code_folder, STAMP_NAME))
    if found is None and task_command_file is not None:
        found = _read_task_script(task_command_file, environ)
    if found is None:
        found = _read_variables(environ)
    return found if found is not None else _read_git(code_folder, environ, ignored)


def _read_stamp(path: str) -> CodeVersion | None:
    try:
        stamp = read_json_object(path, _MAX_BYTES)
    except (OSError, UnusableFileError):
        return None
    dirty = stamp.get("dirty")
    found = CodeVersion(
        url=strip_credentials(_read_word(stamp.get("url"))),
        commit=_read_commit(stamp.get("commit")),
        branch=_read_word(stamp.get("branch")),
        version=_read_word(stamp.get("version")),
        is_dirty=dirty if isinstance(dirty, bool) else None,
        found_in=STAMP_NAME,
    )
    return found if found.url or found.commit or found.branch or found.version else None


def _read_task_script(path: str, environ: Mapping[str, str]) -> CodeVersion | None:
    script = read_text(path, _MAX_BYTES)
    cloned = find_cloned_code(script, environ) if script else None
    if cloned is None or not (cloned.url or cloned.commit or cloned.version):
        return None
    return CodeVersion(
        url=cloned.url,
        commit=cloned.commit,
        version=_read_word(cloned.version),
        found_in=f"git clone of {cloned.repository} in {os.path.basename(path)}",
    )


def _read_variables(environ: Mapping[str, str]) -> CodeVersion | None:
    for name in COMMIT_VARIABLES:
        commit = _read_commit(read_variable(environ, name))
        if commit is not None:
            return CodeVersion(commit=commit, found_in=name)
    return None


def _read_git(
    code_folder: str, environ: Mapping[str, str], ignored: Collection[str]
) -> CodeVersion | None:
    checkout = find_git_checkout(code_folder)
    if checkout is None:
        return None
    status = read_git_status(checkout, code_folder, environ, ignored=ignored)
    url, commit = strip_credentials(checkout.url), checkout.commit or _read_commit(status.commit)
    branch = _read_word(checkout.branch)
    if not (url or commit or branch):
        return None
    notes = []
    if status.is_unborn:
        notes.append("The code is in no commit: its git repository has none yet")
    elif status.is_dirty is None and commit is not None:
        why = "" if status.problem is None else f": {status.problem}"
        notes.append(f"Whether the code was changed after this commit is not known{why}")
    if status.untracked and commit is not None:
        notes.append(
            f"Files beside the code that are in no commit: {describe_names(status.untracked)}"
        )
    return CodeVersion(
        url=url,
        commit=commit,
        branch=branch,
        is_dirty=status.is_dirty if commit is not None else None,
        found_in=f"git repository {checkout.folder}",
        notes=tuple(notes),
    )


def _read_commit(value: Any) -> str | None:
    word = value.strip() if isinstance(value, str) else ""
    return word.lower() if _COMMIT.fullmatch(word) else None


def _read_word(value: Any) -> str | None:
    """Text that a record may have; None where it is none."""
    word = value.strip() if isinstance(value, str) else ""
    return word if word and len(word) <= _MAX_CHARS and word.isprintable() else None
