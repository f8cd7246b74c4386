"""Files read with a limit, and files written whole.

Small files of others (metadata, git's own files, a task's script) may be anything: a pipe that
would never end, a file of many gigabytes, text of another encoding. A file of ours that others read
is never half there: it gets its name when it is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from aind_capsule.context.json_nesting import cut_nesting
from aind_capsule.context.own_files import OpenFolder

_CHUNK_BYTES = 1 << 20
#: Of a name that gets more around it; file systems take 255 bytes.
_LONGEST_NAME = 200


class UnusableFileError(Exception):
    """A file that is there and cannot be used; the message is why, to stand behind its name."""


class NestedTooDeeplyError(UnusableFileError):
    """A JSON file that is nested deeper than Python can follow."""


def read_bytes(path: str, limit_bytes: int) -> bytes:
    """All of a file.

    Raises:
        FileNotFoundError: There is nothing at the path.
        UnusableFileError: It is no file, too large, or cannot be read.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
            raise UnusableFileError("is no file")
        if status.st_size > limit_bytes:
            raise UnusableFileError(
                f"is not read: it has {status.st_size} bytes, more than {limit_bytes}"
            )
        with open(path, "rb") as file:
            data = file.read(limit_bytes + 1)
    except FileNotFoundError:
        if os.path.islink(path):
            raise UnusableFileError("is a link that leads nowhere") from None
        raise
    except OSError as error:
        raise UnusableFileError(f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UnusableFileError("has a path that cannot be") from error
    if len(data) > limit_bytes:  # it grew, or its size was not known (/proc)
        raise UnusableFileError(f"is not read: it has more than {limit_bytes} bytes")
    return data


def read_text(path: str, limit_bytes: int) -> str | None:
    """A file's text, without surrounding space; None where it is missing, unusable or not UTF-8."""
    try:
        return read_bytes(path, limit_bytes).decode().strip()
    except (OSError, ValueError, UnusableFileError):
        return None


def read_head(path: str, limit_bytes: int) -> str:
    """Return the first bytes of a file as text; empty where it is missing or unusable."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its writer
            return ""
        with open(path, "rb") as file:
            return file.read(limit_bytes).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def read_json_object(path: str, limit_bytes: int, max_levels: int | None = None) -> dict[str, Any]:
    """Return the JSON object in a file; a byte order mark before it is passed over.

    Args:
        path: The file.
        limit_bytes: The size up to which it is read.
        max_levels: Leave out what is nested deeper.

    Raises:
        FileNotFoundError: There is nothing at the path.
        NestedTooDeeplyError: It is nested deeper than Python can follow.
        UnusableFileError: It is no readable JSON object.
    """
    data = read_bytes(path, limit_bytes)
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text if max_levels is None else cut_nesting(text, max_levels))
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"is not UTF-8 (at byte {error.start})") from error
    except json.JSONDecodeError as error:
        why = f"{error.msg} at line {error.lineno}, column {error.colno}" if data else "it is empty"
        raise UnusableFileError(f"is not JSON: {why}") from error
    except ValueError as error:  # a number with thousands of digits
        raise UnusableFileError(f"is not JSON that can be read: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise NestedTooDeeplyError("is nested too deeply") from error
    if not isinstance(value, dict):
        raise UnusableFileError(f"holds no JSON object but {_name_type(value)}")
    return value


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of the data where the descriptor stands.

    Raises:
        OSError: It cannot be written; a part of it may be there.
    """
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def read_chunks(fd: int, size_bytes: int) -> Iterator[bytes]:
    """Read an open file from its start, as far as a size or its end.

    Where the platform has `pread` the descriptor's own position is left alone.

    Raises:
        OSError: It cannot be read.
    """
    done = 0
    while done < size_bytes:
        chunk = _read_at(fd, min(_CHUNK_BYTES, size_bytes - done), done)
        if not chunk:
            return
        done += len(chunk)
        yield chunk


def write_atomically(
    folder: OpenFolder, name: str, write: Callable[[int], object], *, is_durable: bool = True
) -> None:
    """Write a file whole: under a name that nobody can guess, then renamed.

    Args:
        folder: Where.
        name: What it is called in the end; what had the name before is replaced.
        write: Writes the content to a descriptor.
        is_durable: Whether it must survive a power failure.

    Raises:
        OSError: It cannot be written; nothing is left behind, and what had the name stays.
    """
    hidden = f".{name[:_LONGEST_NAME]}.{os.urandom(6).hex()}.part"
    fd = folder.create_file(hidden)
    try:
        try:
            write(fd)
            if is_durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        folder.replace(hidden, name)
    except BaseException:  # Ctrl-C too: nothing half-made stays
        with contextlib.suppress(OSError):
            folder.remove_file(hidden)
        raise


def write_file(path: str, data: bytes) -> None:
    """Write a file whole, as `write_atomically` does, in a folder that links may lead to.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    folder, name = os.path.split(os.path.abspath(path))
    with contextlib.closing(OpenFolder(folder, follows_link=True)) as opened:
        write_atomically(opened, name, lambda fd: write_all(fd, data))


def _seek_and_read(fd: int, size_bytes: int, position: int) -> bytes:
    """Do what `os.pread` does, where it is missing (Windows)."""
    os.lseek(fd, position, os.SEEK_SET)
    return os.read(fd, size_bytes)


_read_at = getattr(os, "pread", _seek_and_read)


def _name_type(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {list: "a list", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), "null")
