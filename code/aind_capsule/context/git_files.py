"""A git repository's own files, read without git: commit, branch and where it was cloned from.

Called by `code_version`: images of capsules often have no git. Source of the formats:
gitrepository-layout(5), git-config(1). Repositories that keep their refs in another way (reftable)
give the address alone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from aind_capsule.context.files import read_text

_MAX_BYTES = 16 * 1024 * 1024
_MAX_PARENTS = 64
_MAX_REFS = 5
_COMMIT = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_SECTION = re.compile(r'\[\s*remote\s+"(.+)"\s*\]\s*(.*)', re.IGNORECASE)
_URL = re.compile(r"url\s*=\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GitCheckout:
    """A checkout.

    Attributes:
        folder: Its top folder.
        url: Where `origin` is, else the first remote; as configured, secrets included.
        commit: None before the first commit.
        branch: None when a commit is checked out without one.
    """

    folder: str
    url: str | None
    commit: str | None
    branch: str | None


def find_git_checkout(folder: str) -> GitCheckout | None:
    """The checkout that a folder is in; what is no repository is passed over, as git does."""
    try:
        current = os.path.realpath(folder)
    except (OSError, ValueError):
        return None
    for _ in range(_MAX_PARENTS):
        git_folder = _find_git_folder(os.path.join(current, ".git"))
        head = read_text(os.path.join(git_folder, "HEAD"), _MAX_BYTES) if git_folder else None
        if git_folder and head:
            common = _find_common_folder(git_folder)
            commit, branch = _read_head(head, (git_folder, common))
            return GitCheckout(current, _read_address(common), commit, branch)
        if current == os.path.dirname(current):
            break
        current = os.path.dirname(current)
    return None


def _find_git_folder(path: str) -> str | None:
    """The folder, or the one that a file of worktrees and submodules leads to."""
    if os.path.isdir(path):
        return path
    text = read_text(path, _MAX_BYTES) or ""
    if not text.startswith("gitdir:"):
        return None
    return os.path.join(os.path.dirname(path), text.removeprefix("gitdir:").strip())


def _find_common_folder(git_folder: str) -> str:
    """Where a worktree has its refs and configuration: in the repository that it belongs to."""
    text = read_text(os.path.join(git_folder, "commondir"), _MAX_BYTES)
    return os.path.join(git_folder, text) if text else git_folder


def _read_head(head: str, folders: tuple[str, str]) -> tuple[str | None, str | None]:
    """Commit and branch; a branch without commits has no file yet."""
    branch = None
    value: str | None = head
    for _ in range(_MAX_REFS):
        if not value or not value.startswith("ref:"):
            break
        ref = value.removeprefix("ref:").strip()
        if not ref.startswith("refs/") or ".." in ref or not ref.isprintable():
            return None, None
        if branch is None and ref.startswith("refs/heads/") and ref != "refs/heads/.invalid":
            branch = ref.removeprefix("refs/heads/")
        value = _read_ref(ref, folders)
    commit = value.lower() if value and _COMMIT.fullmatch(value) else None
    return commit, branch


def _read_ref(ref: str, folders: tuple[str, str]) -> str | None:
    for folder in folders:
        value = read_text(os.path.join(folder, ref), _MAX_BYTES)
        if value:
            return value
    for line in (read_text(os.path.join(folders[1], "packed-refs"), _MAX_BYTES) or "").splitlines():
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    return None


def _read_address(common: str) -> str | None:
    """Return the first address of `origin`, from which git fetches; else of the first remote."""
    addresses: dict[str, str] = {}
    remote = ""
    for line in (read_text(os.path.join(common, "config"), _MAX_BYTES) or "").splitlines():
        text = line.strip()
        if text.startswith("["):
            section = _SECTION.fullmatch(text)
            remote, text = (section[1], section[2]) if section else ("", "")
        match = _URL.fullmatch(text) if remote else None
        if match:
            value = match[1].strip()
            address = value[1:-1] if value[:1] == value[-1:] == '"' else value
            addresses.setdefault(remote, address)
    return addresses.get("origin", next(iter(addresses.values()), None))
