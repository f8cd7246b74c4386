"""A value that is never shown: it has to be asked for by name."""

from __future__ import annotations

MASK = "[redacted]"


class Secret:
    """Holds a secret; printed, formatted, logged or compared by eye it is `[redacted]`.

    >>> f"{Secret('hush')} {Secret('hush')!r}", Secret("hush").reveal()
    ('[redacted] [redacted]', 'hush')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)
