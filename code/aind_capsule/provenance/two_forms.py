"""One step that is told of in an old form of the schema and in version 2 is one step.

Whoever brings a record to version 2 changes what the strict key (`keys`) is made of: the name gets
a number, the code becomes "unknown", inputs are lost, times get the zone of the machine. What stays
is start, end, name and place in the file. On 522 real steps that the official upgrader had brought
over under several zones this key matched each with its own, and no two of different records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aind_capsule.provenance.keys import is_of_content, split_number
from aind_capsule.provenance.run_facts import read_table, read_text
from aind_capsule.provenance.steps import Step
from aind_capsule.records.timestamps import parse_timestamp

_KINDS = ("instant", "clock")
#: Kind of time, start, end, name, and place among the equal ones of its file.
_Place = tuple[str, Any, Any, str, int]


def join_forms(steps: Iterable[Step]) -> list[Step]:
    """Have steps of version 2 known by the key of their old form, where that is told of as well.

    Steps of version 2 that say that they came from an old form, as ours do, count as old beside one
    of version 2, and as that beside one of an old file.

    Returns:
        The steps of version 2 that have an old form.
    """
    told = [step for step in steps if is_of_content(step.key)]
    old = [step for step in told if step.is_old]
    marked = [step for step in told if not step.is_old and step.was_old]
    new = [step for step in told if not step.was_old]
    # What of ours is known by the strict key already stands for no other: our order is not theirs.
    same = {step.key for step in old} & {step.key for step in marked}
    apart = [step for step in marked if step.key not in same]
    _join((step for step in old if step.key not in same), apart, {})
    own: dict[str, set[str]] = {}
    for step in marked:
        own.setdefault(step.sources[0], set()).add(step.key)
    joined = _join(old, new, own)
    rest = [step for step in new if step not in joined]
    alone = [step for step in marked if step.key not in {step.key for step in old}]
    return [*joined, *_join(alone, rest, own, has_order=False)]


def _join(
    old: Iterable[Step],
    new: Iterable[Step],
    own: Mapping[str, set[str]],
    *,
    has_order: bool = True,
) -> list[Step]:
    """Have steps known by the key of their old form.

    Args:
        old: The old forms.
        new: The steps.
        own: File → keys of old forms that it tells apart from its other steps itself.
        has_order: Whether files of both kinds have the order of the old ones. A collected result
            has not.
    """
    index: dict[_Place, list[Step]] = {}
    for steps in _group_by_file(old):
        for place, step in _list_old_places(steps):
            index.setdefault(place if has_order else (*place[:-1], 0), []).append(step)
    joined = []
    for steps in _group_by_file(new):
        places = dict(_list_new_places(steps))
        if not has_order:
            places = {s: [(*place[:-1], 0) for place in found] for s, found in places.items()}
        places = {s: [place for place in found if place in index] for s, found in places.items()}
        taken = own.get(steps[0].sources[0], set())
        for step, known in _match(places, index, taken).items():
            step.aliases.add(step.key)
            step.key = known.key
            joined.append(step)
    return joined


def _match(
    places: Mapping[Step, list[_Place]], index: Mapping[_Place, list[Step]], taken: set[str]
) -> dict[Step, Step]:
    """Return the old form of each step of one file that has one; no two have the same.

    A file was written in one zone: the kind of time by which more of its steps are found goes
    first, and the other one serves the rest.
    """
    found = {kind: _match_by(kind, places, index, taken, {}) for kind in _KINDS}
    first, second = sorted(_KINDS, key=lambda kind: -len(found[kind]))
    return _match_by(second, places, index, taken, found[first])


def _match_by(
    kind: str,
    places: Mapping[Step, list[_Place]],
    index: Mapping[_Place, list[Step]],
    taken: set[str],
    matched: Mapping[Step, Step],
) -> dict[Step, Step]:
    """Return what is matched, and by one kind of time what of the rest can be."""
    result = dict(matched)
    taken = taken | {known.key for known in result.values()}
    for step, wanted in places.items():
        if step in result:
            continue
        for place in wanted:
            known = _choose(index[place], step) if place[0] == kind else None
            if known is not None and known.key not in taken:
                result[step] = known
                taken.add(known.key)
                break
    return result


def _choose(known: list[Step], step: Step) -> Step | None:
    """Return the old form of a step; of several the one of equal parameters, then of equal code."""
    equal = known
    for read in (_read_parameters, _read_url):
        if len({other.key for other in equal}) == 1:
            return equal[0]
        equal = [other for other in equal if read(other) == read(step)]
    return equal[0] if len({other.key for other in equal}) == 1 else None


def _read_url(step: Step) -> str | None:
    return read_text(read_table(step.content, "code"), "url")


def _read_parameters(step: Step) -> Mapping[str, Any]:
    return read_table(step.content, "code", "parameters")


def _group_by_file(steps: Iterable[Step]) -> list[list[Step]]:
    files: dict[str, list[Step]] = {}
    for step in steps:
        files.setdefault(step.sources[0], []).append(step)
    return list(files.values())


def _list_old_places(steps: list[Step]) -> Iterator[tuple[_Place, Step]]:
    """Yield each step of one file with its places: by instant and by wall clock."""
    counts: dict[tuple[Any, ...], int] = {}
    for step in steps:
        for times in _list_times(step):
            group = (*times, step.content["name"])
            counts[group] = counts.get(group, -1) + 1
            yield (*group, counts[group]), step


def _list_new_places(steps: list[Step]) -> Iterator[tuple[Step, list[_Place]]]:
    """Yield each step of one file with the places at which an old form may stand, the best first.

    Its name is that of the old form, or the same with a number behind it.
    """
    groups: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for place, step in enumerate(steps):
        name, (base, number) = step.content["name"], split_number(step.content["name"])
        for times in _list_times(step):
            groups.setdefault((*times, name), []).append((0, place))
            if base != name:
                groups.setdefault((*times, base), []).append((number, place))
    for place, step in enumerate(steps):
        name = step.content["name"]
        names = dict.fromkeys((name, split_number(name)[0]))
        places = []
        for wanted in names:
            for times in _list_times(step):
                members = sorted(groups.get((*times, wanted), ()))
                ordinal = [member for _, member in members].index(place)
                places.append((*times, wanted, ordinal))
        yield step, places


def _list_times(step: Step) -> list[tuple[str, Any, Any]]:
    """Return start and end of a step, as instants and as they stand on a wall clock."""
    start, end = (read_text(step.content, f"{name}_date_time") for name in ("start", "end"))
    instants = [None if text is None else parse_timestamp(text) for text in (start, end)]
    clocks = [None if text is None else _read_clock(text) for text in (start, end)]
    return [("instant", instants[0], instants[1]), ("clock", clocks[0], clocks[1])]


def _read_clock(text: str) -> int | None:
    """Return a time as if its zone were UTC, in microseconds since 1970.

    >>> _read_clock("2025-01-02T03:04:05.5-08:00") == _read_clock("2025-01-02T03:04:05.500000Z")
    True
    """
    bare = text.rstrip("Zz")
    if bare[-6:-5] in ("+", "-") and bare[-3:-2] == ":":
        bare = bare[:-6]
    return parse_timestamp(bare)
