"""All kinds of destinations: a new one is a module of its own and a line here."""

from __future__ import annotations

from aind_capsule.settings.model import Settings
from aind_capsule.shipping.destination import Kind

KINDS: tuple[Kind, ...] = (Kind("loki", lambda settings: settings.loki.url is not None),)


def find_kinds(settings: Settings) -> tuple[Kind, ...]:
    """The kinds that the settings ask for."""
    return tuple(kind for kind in KINDS if kind.is_on(settings))
