"""What a row of the settings' table is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any


def setting(
    default: Any,
    parse: Callable[[Any], Any],
    description: str,
    *,
    env: tuple[str, ...] = (),
    flag: str = "",
    form: str = "text",
    is_fatal: bool = False,
    file_only: bool = False,
    is_secret: bool = False,
) -> Any:
    """A row of the table.

    Args:
        default: The value where no source gives one.
        parse: Turns a flag's or a variable's text, or a file's value, into the setting's value;
            raises ValueError with what was expected.
        description: What it does, for people.
        env: Further variables that are honoured as they are, after `CAPSULE_…`.
        flag: The option of `capsule run` that sets it.
        form: What a value looks like, for people.
        is_fatal: Whether a wrong value ends `capsule run` with 78 before the start; any other
            wrong value is an ERROR, and the default holds; in a group with a `SWITCH`, which is
            the name of the setting that turns it on, the group is off.
        file_only: Whether only `capsule.toml` may set it.
        is_secret: Whether it is never shown, and never read from a `capsule.toml`; `parse` then
            makes `Secret`s.
    """
    meta = {
        "parse": parse, "description": description, "env": env, "flag": flag, "form": form,
        "is_fatal": is_fatal, "file_only": file_only, "is_secret": is_secret,
    }  # fmt: skip
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=meta)
    return field(default=default, metadata=meta)
