"""Graphs as they are told, with the loops that are in some of them."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

Links = Mapping[str, AbstractSet[str]]


def invert(links: Links) -> dict[str, set[str]]:
    """Every link the other way round.

    >>> invert({"a": set(), "b": {"a"}})
    {'a': {'b'}, 'b': set()}
    """
    inverse: dict[str, set[str]] = {key: set() for key in links}
    for key, others in links.items():
        for other in others:
            inverse[other].add(key)
    return inverse


def find_reached(links: Links, start: str) -> set[str]:
    """What the links lead to from somewhere, over any number of steps."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = links.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return reached


def cut_loops(
    parents: Links, place: Mapping[str, Any]
) -> tuple[dict[str, set[str]], list[tuple[str, str]]]:
    """Leave out the links to what comes later, where these close a loop.

    Args:
        parents: What each depends on.
        place: Where each is in time; no two are at one place.

    Returns:
        The links without those, and those: who depends, and on what.

    >>> links = {"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": set()}
    >>> kept, cut = cut_loops(links, {key: key for key in links})
    >>> kept == {"a": set(), "b": {"a"}, "c": {"d"}, "d": set()}, cut
    (True, [('a', 'b')])
    """
    kept = {
        key: {other for other in others if place[other] < place[key]}
        for key, others in parents.items()
    }
    cut = []
    for key in sorted(parents, key=lambda key: place[key]):
        for other in sorted(parents[key] - kept[key], key=lambda key: place[key]):
            if key == other or key in find_reached(kept, other):
                cut.append((key, other))
            else:
                kept[key].add(other)
    return kept, cut


def find_ends(parents: Links) -> set[str]:
    """The steps that no other depends on, but such as it depends on itself, by a loop.

    >>> sorted(find_ends({"a": set(), "b": {"a"}, "c": {"a"}}))
    ['b', 'c']
    >>> sorted(find_ends({"a": {"b"}, "b": {"a"}}))
    ['a', 'b']
    >>> sorted(find_ends({"a": {"b", "c"}, "b": {"a"}, "c": set(), "d": {"c"}}))
    ['a', 'b', 'd']
    """
    children = invert(parents)
    if all(children.values()):  # all in loops or before them
        below = {key: find_reached(children, key) for key in parents}
        return {key for key in parents if all(key in below[other] for other in below[key])}
    ends = {key for key, others in children.items() if not others}
    before = {key for end in ends for key in find_reached(parents, end)} | ends
    rest = {key: others - before for key, others in parents.items() if key not in before}
    return ends | (find_ends(rest) if rest else set())
