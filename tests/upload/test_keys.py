"""Keys of names: any name has one, no two have the same, and plain names stay as they are."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aind_capsule.upload.keys import (
    CLAIM,
    MANIFEST,
    LongFolderError,
    find_room,
    make_key,
    tell_name,
)

_NAMES = st.binary(min_size=1, max_size=1200).filter(lambda name: b"\0" not in name)


@given(st.lists(_NAMES, unique=True, max_size=20), st.integers(100, 1024))
@example([b"manifest.json", make_key(b"manifest.json", 100).encode()], 100)
@example([b"caf\xe9", make_key(b"caf\xe9", 100).encode(), b"caf%E9"], 100)
@example([b"x" * 2000, make_key(b"x" * 2000, 100).encode()], 100)
def test_any_names(names: list[bytes], room: int) -> None:
    """Different names have different keys, which are UTF-8, fit, and are none of ours."""
    keys = [make_key(name, room) for name in names]
    assert len(set(keys)) == len(names)
    for key in keys:
        assert 0 < len(key.encode()) <= room
        assert key not in (MANIFEST, CLAIM)


@pytest.mark.parametrize("name", [MANIFEST, CLAIM, "x", "long" * 300])
def test_the_longest_folder(name: str) -> None:
    """Each key below it fits into what S3 takes, our own too; one byte more is refused."""
    longest = "ü" * 503 + "/"
    room = find_room(longest)
    for key in (MANIFEST, CLAIM, make_key(name.encode(), room)):
        assert len((longest + key).encode()) <= 1024
    with pytest.raises(LongFolderError, match="too many for keys"):
        find_room("x" + longest)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0~"), min_size=1, max_size=200))
def test_plain_names_stay(name: str) -> None:
    """A name that can be a key is one."""
    if name not in (MANIFEST, CLAIM):
        assert make_key(name.encode(), 1024) == name


def test_names_for_the_manifest() -> None:
    """What is text is told as text, all else so that it can be had back."""
    assert tell_name("ü/a".encode()) == {"path": "ü/a"}
    assert bytes.fromhex(tell_name(b"caf\xe9")["path_hex"]) == b"caf\xe9"
