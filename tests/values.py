"""Values that users log, drawn at random: everything that JSON cannot hold is among them."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import pathlib
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from aind_capsule.records.schema import BY_NAME


class Colour(enum.Enum):
    RED = "red"
    NAN = float("nan")


class Side(enum.IntEnum):
    LEFT = 1


class Kind(str, enum.Enum):
    A = "a"


class Text(str):
    pass


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no")

    __str__ = __repr__


class Exits:
    def __repr__(self) -> str:
        raise MemoryError

    def __hash__(self) -> int:
        return 1


@dataclass
class Data:
    name: Any = None
    _hidden: int = 0


Pair = namedtuple("Pair", "x y")

HALVES = st.sampled_from(["\ud800", "a\udfff", "\udc80\ud800"])
TEXTS = st.one_of(
    st.text(),
    HALVES,
    st.builds(Text, st.text(max_size=5)),
    st.sampled_from(["", "null", "\x00\x1b[2J", '"\\\n']),
)
ZONES = st.sampled_from(
    [None, datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.floats(), TEXTS, st.binary(max_size=20),
    st.datetimes(timezones=ZONES), st.dates(), st.times(), st.timedeltas(), st.uuids(), st.decimals(), st.fractions(),
    st.complex_numbers(), st.builds(pathlib.PurePosixPath, st.text(st.characters(codec="ascii"), max_size=5)),
    st.sampled_from([Colour.RED, Colour.NAN, Side.LEFT, Kind.A, ValueError("x"), object, len]),
    st.builds(Broken), st.builds(Exits),
)  # fmt: skip
HASHABLES = st.one_of(
    TEXTS, st.integers(), st.none(), st.booleans(), st.floats(), st.binary(max_size=3), st.sampled_from([Side.LEFT, Kind.A]), st.builds(Exits),
    st.tuples(st.integers(), TEXTS),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(HASHABLES, inner, max_size=4),
        st.builds(Pair, inner, inner), st.builds(Data, inner), st.builds(OrderedDict, st.dictionaries(TEXTS, inner, max_size=2)),
        st.frozensets(st.integers(), max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(sorted(BY_NAME)),
    st.text(max_size=6),
    HALVES,
    st.sampled_from(["extra", "level_", "run_id_", "batch"]),
)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=6)

__all__ = ["FIELDS", "HASHABLES", "NAMES", "TEXTS", "VALUES", "decimal", "fractions", "uuid"]
