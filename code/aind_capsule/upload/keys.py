"""Names of files as keys of objects: every name has one, and no two have the same.

A key is text in UTF-8 of at most 1,024 bytes (S3 API). What cannot be one is changed, and the
manifest keeps the name as it was.
"""

from __future__ import annotations

import hashlib
import os
import re

from aind_capsule.storage.errors import StorageError

MAX_KEY_BYTES = 1024
#: Objects of ours in the asset.
MANIFEST = "manifest.json"
CLAIM = ".claim"
_OURS = frozenset({MANIFEST, CLAIM})
_MARK_CHARS = 16
_MARKED = re.compile(f"~[0-9a-f]{{{_MARK_CHARS}}}$")


#: A key holds at least a changed name's mark, and each name of ours.
_MIN_ROOM = max(_MARK_CHARS + 1, *(len(name) for name in _OURS))


class LongFolderError(StorageError):
    """The asset's folder leaves no room for the keys of files."""

    exit_status = 78


def find_room(folder: str) -> int:
    """Return the bytes that a key may have below an asset's folder.

    Args:
        folder: The folder, as the beginning of a key.

    Raises:
        LongFolderError: There is none for our own objects.

    >>> find_room("assets/name/")
    1012
    """
    room = MAX_KEY_BYTES - len(folder.encode())
    if room < _MIN_ROOM:
        raise LongFolderError(
            f"The asset's folder has {MAX_KEY_BYTES - room:,} bytes, too many for keys of"
            f" {MAX_KEY_BYTES:,} bytes: {folder[:40]!r}…",
            hint=f"Name a folder and an asset of at most {MAX_KEY_BYTES - _MIN_ROOM:,} bytes.",
        )
    return room


def make_key(name: bytes, room: int) -> str:
    r"""The key of a file, below the asset's folder; the plain name wherever that can be.

    Args:
        name: Its path below the uploaded folder.
        room: Bytes that a key may have there.

    >>> make_key("a b/ü.txt".encode(), 1000)
    'a b/ü.txt'
    >>> make_key(b"caf\xe9.txt", 1000)
    'caf%E9.txt~9c03503956b369f4'
    """
    try:
        text = name.decode()
        is_changed = False
    except UnicodeDecodeError:
        text = os.fsdecode(name)
        text = "".join(f"%{ord(c) & 0xFF:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)
        is_changed = True
    data = text.encode()
    # What looks like a changed name is changed too: so no two names become one.
    is_changed = is_changed or text in _OURS or _MARKED.search(text) is not None
    if not is_changed and len(data) <= room:
        return text
    mark = f"~{hashlib.sha256(name).hexdigest()[:_MARK_CHARS]}"
    left = data[: room - len(mark)].decode("utf-8", "ignore")
    return left + mark


def tell_name(name: bytes) -> dict[str, str]:
    """A file's name for the manifest: `path`, or, where it is no text, `path_hex`."""
    try:
        return {"path": name.decode()}
    except UnicodeDecodeError:
        return {"path_hex": name.hex()}
