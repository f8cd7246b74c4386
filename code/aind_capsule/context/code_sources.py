"""Whether the places that say which code runs agree. Called by `code_version`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

_SCP = re.compile(r"(?:[^/@]+@)?([^/:]+):(?!//)(.*)")
_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?:[^/@]*@)?(.*)")


class CodeSource(Protocol):
    """What one place says of the code."""

    @property
    def url(self) -> str | None:
        """Its address."""

    @property
    def commit(self) -> str | None:
        """Its commit, perhaps shortened."""

    @property
    def version(self) -> str | None:
        """Its version."""

    @property
    def found_in(self) -> str:
        """The place, for people."""


def find_disagreements(sources: Sequence[CodeSource]) -> list[str]:
    """Return where places disagree, a sentence for each field; the first place is recorded."""
    told = []
    fields: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
        ("url", is_same_address),
        ("commit", is_same_commit),
        ("version", is_same_version),
    )
    for field, is_same in fields:
        values = [(getattr(source, field), source.found_in) for source in sources]
        known = [(value, place) for value, place in values if value is not None]
        if known and not all(is_same(known[0][0], value) for value, _ in known[1:]):
            named = ", ".join(f"{value} ({place})" for value, place in known)
            told.append(f"The code's {field} differs by source: {named}. The first is recorded")
    return told


def is_same_address(one: str, other: str) -> bool:
    """Return whether two addresses are of one repository.

    >>> is_same_address("git@github.com:Org/repo.git", "https://github.com/org/repo/")
    True
    """
    return _normalise(one) == _normalise(other)


def is_same_commit(one: str, other: str) -> bool:
    """Return whether two commits are one; either may be shortened.

    >>> is_same_commit("26c2b12", "26c2b127281288fe"), is_same_commit("26c2b12", "26c2b13")
    (True, False)
    """
    return one.startswith(other) or other.startswith(one)


def is_same_version(one: str, other: str) -> bool:
    """Return whether two versions are one.

    >>> is_same_version("v1.2", "1.2"), is_same_version("1.2", "1.20")
    (True, False)
    """
    return one.removeprefix("v") == other.removeprefix("v")


def _normalise(address: str) -> str:
    scp = _SCP.fullmatch(address)
    match = _SCHEME.fullmatch(address)
    bare = f"{scp[1]}/{scp[2]}" if scp else match[1] if match else address
    return bare.rstrip("/").removesuffix(".git").rstrip("/").casefold()
