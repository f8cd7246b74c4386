"""All kinds of destinations: a new one is a module of its own and a line here.

A run imports this before its processing starts, and nothing more of `shipping`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aind_capsule.settings.model import Settings

if TYPE_CHECKING:
    from aind_capsule.shipping.destination import Check, Destination
    from aind_capsule.shipping.form import Form


class Kind:
    """A kind of destination.

    Its module, `shipping.<name>`, is imported where it is needed, and has two functions:
    `open_destination` and `check`, as the methods here.

    Args:
        name: As in the settings, and the module's.
        is_on: Whether the settings ask for it.
    """

    def __init__(self, name: str, is_on: Callable[[Settings], bool]) -> None:
        self.name = name
        self.is_on = is_on

    def open(self, settings: Settings, environ: Mapping[str, str], form: Form) -> Destination:
        """The way of one log there.

        Raises:
            SettingsError: The settings cannot work.
        """
        destination: Destination = self._load().open_destination(settings, environ, form)
        return destination

    def check(self, settings: Settings, environ: Mapping[str, str]) -> Check:
        """Try it for real.

        Raises:
            SettingsError: The settings cannot work.
        """
        check: Check = self._load().check(settings, environ)
        return check

    def _load(self) -> Any:
        return importlib.import_module(f"aind_capsule.shipping.{self.name}")


KINDS: tuple[Kind, ...] = (Kind("loki", lambda settings: settings.loki.url is not None),)


def find_kinds(settings: Settings) -> tuple[Kind, ...]:
    """The kinds that the settings ask for."""
    return tuple(kind for kind in KINDS if kind.is_on(settings))
