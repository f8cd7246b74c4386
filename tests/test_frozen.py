"""Values made by `@frozen` are what frozen, slotted dataclasses are."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from aind_capsule.frozen import frozen


@frozen
class Made:
    """Made without compiling."""

    KIND: ClassVar[str] = "kind"
    name: str
    size: int = 0
    parts: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The same, made by `dataclasses`."""

    KIND: ClassVar[str] = "kind"
    name: str
    size: int = 0
    parts: list[int] = field(default_factory=list)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("a",), {}),
        (("a", 1), {}),
        (("a", 1, [2]), {}),
        ((), {"name": "a"}),
        (("a",), {"parts": [2]}),
        ((), {}),
        (("a", 1, [2], 3), {}),
        (("a",), {"name": "b"}),
        (("a",), {"KIND": "b"}),
        (("a",), {"other": 1}),
    ],
)
def test_takes_the_arguments_of_a_dataclass(
    arguments: tuple[Any, ...], named: dict[str, Any]
) -> None:
    """It takes and refuses the arguments that a dataclass takes and refuses."""

    def make(kind: type[Any]) -> dict[str, Any] | None:
        try:
            return dataclasses.asdict(kind(*arguments, **named))
        except TypeError:
            return None

    assert make(Made) == make(Compiled)


def test_a_default_is_made_for_each() -> None:
    """Two values share no list that a factory makes."""
    assert Made("a").parts is not Made("a").parts


@pytest.mark.parametrize(
    "change",
    [
        lambda value: setattr(value, "name", "b"),
        lambda value: setattr(value, "other", "b"),
        lambda value: delattr(value, "name"),
    ],
)
def test_cannot_be_changed(change: Callable[[Made], None]) -> None:
    """No field is set, added or removed."""
    value = Made("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        change(value)
    assert value == Made("a")
    assert not hasattr(value, "__dict__")


def test_compares_hashes_and_prints_by_its_fields() -> None:
    """Equal values of one class are equal, have one hash and show their fields."""
    value = Made("a", parts=[2])
    assert value == Made("a", 0, [2])
    assert value != Made("a", 1, [2])
    assert value != Compiled("a", 0, [2])
    assert repr(value) == repr(Compiled("a", 0, [2])).replace("Compiled", "Made")

    @frozen
    class Pair:
        """Hashable."""

        a: int
        b: int

    assert {Pair(1, 2): "x"}[Pair(1, 2)] == "x"


@pytest.mark.parametrize("repeat", [copy.copy, lambda value: pickle.loads(pickle.dumps(value))])
def test_is_copied_and_pickled(repeat: Callable[[Made], Made]) -> None:
    """A copy is equal; a value goes to another process and back."""
    value = Made("a", 1, [2])
    assert repeat(value) == value
    assert dataclasses.replace(value, size=3) == Made("a", 3, [2])
