"""The processing's parameters, as its command line says them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aind_capsule.running.preparing.command_line import find_program

_NUMBER = re.compile(r"^-\d*\.?\d+(?:[eE][-+]?\d+)?$")


def parse_parameters(arguments: Sequence[str]) -> dict[str, str | bool | list[str]]:
    """`--k v` and `--k=v` by name, flags as true, the rest as `positional`.

    >>> parse_parameters(["in.nwb", "--rate", "30", "--mode=fast", "--dry-run", "-n", "-3", ""])
    {'rate': '30', 'mode': 'fast', 'dry-run': True, 'n': '-3', 'positional': ['in.nwb', '']}
    """
    named: dict[str, str | bool | list[str]] = {}
    positional: list[str] = []
    waiting: str | None = None
    for index, word in enumerate(arguments):
        if word == "--":
            positional += arguments[index + 1 :]
            break
        is_option = len(word) > 1 and word.startswith("-") and not _NUMBER.match(word)
        if is_option:
            name, sign, value = word.lstrip("-").partition("=")
            waiting = None if sign else name
            _add(named, name, value if sign else True)
        elif waiting is not None:
            named_value = named[waiting]
            if isinstance(named_value, list):
                named_value[-1] = word
            else:
                named[waiting] = word
            waiting = None
        else:
            positional.append(word)
    if positional:
        named["positional"] = positional
    return named


def _add(named: dict[str, str | bool | list[str]], name: str, value: str | bool) -> None:
    """Add a parameter; one that comes again becomes a list of all its values."""
    before = named.get(name)
    if before is None:
        named[name] = value
    elif isinstance(before, list):
        before.append(str(value))
    else:
        named[name] = [str(before), str(value)]


def find_parameters(command: Sequence[str]) -> dict[str, str | bool | list[str]]:
    """Return the parameters of a command: what stands behind the processing's own program.

    >>> find_parameters(["bash", "-eo", "pipefail", "./run", "--rate", "30"])
    {'rate': '30'}
    """
    return parse_parameters(find_program(command).arguments)
