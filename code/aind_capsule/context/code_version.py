"""Which version of the code runs: address, commit, tag, and whether it was changed since.

Called by `running`. At run time a capsule's `.git` is mostly gone, so several places are asked. It
writes nothing; the one program that it may start is `git status`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from aind_capsule.context.code_addresses import strip_credentials
from aind_capsule.context.code_sources import find_disagreements, is_same_commit
from aind_capsule.context.files import UnusableFileError, read_json_object, read_text
from aind_capsule.context.git_files import find_git_checkout
from aind_capsule.context.git_status import describe_names, read_git_status
from aind_capsule.context.image_variables import (
    CODE_URL,
    CODE_VERSION,
    read_image_url,
    read_image_version,
)
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
        from_image: Variables of the image that some of this is from.
    """

    url: str | None = None
    commit: str | None = None
    branch: str | None = None
    version: str | None = None
    is_dirty: bool | None = None
    found_in: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)
    from_image: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return it as JSON, without what is not known."""
        lists = {"notes": list(self.notes), "from_image": list(self.from_image)}
        fields = {**asdict(self), **lists}
        return {name: value for name, value in fields.items() if value is not None and value != []}


def find_code_version(
    code_folder: str,
    environ: Mapping[str, str],
    task_command_file: str | None = None,
    *,
    ignored: Collection[str] = (),
    task_folder: str | None = None,
    is_container: bool = False,
) -> CodeVersion | None:
    """Return the version of the code in a folder, or None where nothing is known.

    The places, of which the first that knows anything counts: the stamp of a build
    (`.capsule-version.json` in the folder), the script of the pipeline task, variables, the git
    repository around the folder. The variables of the image say what is unknown after that. Where
    places disagree, and where files were changed since the commit, that is said.

    Args:
        code_folder: The capsule's code.
        environ: The environment.
        task_command_file: The task's `.command.sh`, inside a pipeline.
        ignored: Folders in which new files are no code, such as results.
        task_folder: The task's folder: a repository around it is the pipeline's.
        is_container: Whether the variables are those of an image.
    """
    script = None if task_command_file is None else _read_task_script(task_command_file, environ)
    stamp = _read_stamp(os.path.join(code_folder, STAMP_NAME))
    git = _read_git(code_folder, environ, ignored, task_folder)
    image = _read_image(environ, is_container=is_container)
    known = [place for place in (stamp, script, _read_variables(environ), git) if place is not None]
    sources = known if image is None else [*known, image]
    if not sources:
        return None
    found = sources[0]
    if git is not None and git is not found:
        found = _add_git(found, git)
    if image is not None and image is not found:
        found = _add_image(found, image)
    return replace(found, notes=(*find_disagreements(sources), *found.notes))


def _add_git(found: CodeVersion, git: CodeVersion) -> CodeVersion:
    """Return what another place says, with the state of the repository if the commits are one."""
    if found.commit is None or git.commit is None or not is_same_commit(found.commit, git.commit):
        return found
    return replace(found, is_dirty=found.is_dirty or git.is_dirty, notes=git.notes)


def _add_image(found: CodeVersion, image: CodeVersion) -> CodeVersion:
    """Return what other places say, with what the image says beyond that."""
    version = CODE_VERSION if found.version is None and image.version is not None else None
    url = CODE_URL if found.url is None and image.url is not None else None
    return replace(
        found,
        version=found.version or image.version,
        url=found.url or image.url,
        from_image=tuple(filter(None, [version, url])),
    )


def _read_image(environ: Mapping[str, str], *, is_container: bool) -> CodeVersion | None:
    version = read_image_version(environ, is_container=is_container)
    url = read_image_url(environ)
    names = [name for name, value in ((CODE_VERSION, version), (CODE_URL, url)) if value]
    if not names:
        return None
    return CodeVersion(
        url=url, version=version, found_in=" and ".join(names), from_image=tuple(names)
    )


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
    code_folder: str,
    environ: Mapping[str, str],
    ignored: Collection[str],
    task_folder: str | None,
) -> CodeVersion | None:
    checkout = find_git_checkout(code_folder)
    if checkout is None or not _is_inside(checkout.folder, task_folder):
        return None
    status = read_git_status(checkout, code_folder, environ, ignored=ignored)
    place = f"git repository {checkout.folder}"
    if not status.holds_code:
        note = f"The code is in no commit of the {place} around it"
        return CodeVersion(found_in=place, notes=(note,))
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
        found_in=place,
        notes=tuple(notes),
    )


def _is_inside(path: str, folder: str | None) -> bool:
    if folder is None:
        return True
    above = os.path.realpath(folder)
    return os.path.commonpath([path, above]) == above


def _read_commit(value: Any) -> str | None:
    word = value.strip() if isinstance(value, str) else ""
    return word.lower() if _COMMIT.fullmatch(word) else None


def _read_word(value: Any) -> str | None:
    """Text that a record may have; None where it is none."""
    word = value.strip() if isinstance(value, str) else ""
    return word if word and len(word) <= _MAX_CHARS and word.isprintable() else None
