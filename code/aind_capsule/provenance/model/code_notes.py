"""What a record says of code that is not its commit: in its version, in its notes, in warnings.

The schema has no field for it, and takes no commit with anything behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHORT_COMMIT_CHARS = 12
_MARK = "dirty"


def is_changed(code: Mapping[str, Any]) -> bool:
    """Return whether the code was changed after its commit, as far as that is known."""
    return code.get("is_dirty") is True


def mark_changed(version: str | None, commit: str | None) -> str | None:
    """Return the version of code that was changed after its commit.

    >>> mark_changed("v1.0", "26c2b127281288fe"), mark_changed(None, "26c2b127281288fe")
    ('v1.0+dirty', '26c2b1272812-dirty')
    >>> mark_changed("1.0+dirty", None), mark_changed(None, None)
    ('1.0+dirty', None)
    """
    if version is not None:
        return version if version.endswith(_MARK) else f"{version}+{_MARK}"
    return None if commit is None else f"{commit[:_SHORT_COMMIT_CHARS]}-{_MARK}"


def build_code_notes(code: Mapping[str, Any]) -> list[str]:
    """Return what the notes of a record say of its code, a sentence each.

    Args:
        code: The `code` of `run.json`.
    """
    notes = _build_warnings(code)
    variables = _read_texts(code, "from_image")
    if variables:
        notes.append(f"Of the code, the image says this by its variables: {', '.join(variables)}")
    return notes


def build_code_warnings(code: Mapping[str, Any]) -> list[str]:
    """Return what of it is worth a warning at the end of a run, where it stands beside no record.

    >>> build_code_warnings({"commit": "26c2b127281288fe", "is_dirty": True})
    ['The code was changed after this commit: 26c2b1272812. It is recorded as 26c2b1272812-dirty']
    """
    notes = _build_warnings(code)
    if is_changed(code):
        version, commit = code.get("version"), code.get("commit")
        known = (version or "unknown") if commit is None else commit[:_SHORT_COMMIT_CHARS]
        marked = mark_changed(version, commit)
        notes[0] += f": {known}" + (f". It is recorded as {marked}" if marked else "")
    return notes


def _build_warnings(code: Mapping[str, Any]) -> list[str]:
    notes = _read_texts(code, "notes")
    if is_changed(code):
        what = "commit" if isinstance(code.get("commit"), str) else "version"
        notes.insert(0, f"The code was changed after this {what}")
    return notes


def _read_texts(code: Mapping[str, Any], name: str) -> list[str]:
    values = code.get(name)
    listed = values if isinstance(values, list) else []
    return [value for value in listed if isinstance(value, str) and value.strip()]
