"""Where a sink of the user's own writes: a file by its path, or an open stream."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any, Protocol

from aind_capsule.context.descriptors import spare_standard
from aind_capsule.records.encode import decode


class Output(Protocol):
    """Takes whole lines."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    def write_line(self, line: bytes) -> None:
        """Write a line, which ends with its line end, at once.

        Raises:
            Exception: It cannot be written.
        """

    def close(self) -> None:
        """Let go of it."""


class FileOutput:
    """Appends lines to a file, also beside forked children and other processes that do.

    Args:
        path: The file. Missing folders are made, as loguru makes them.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.path.abspath(os.fsdecode(path))
        Path(self.name).parent.mkdir(parents=True, exist_ok=True)
        # Each write goes to the file's end, whoever has written in between.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        with spare_standard():  # what is printed may not go into the file
            self._fd = os.open(self.name, flags, 0o666)
        self._is_torn = False

    def write_line(self, line: bytes) -> None:
        """Append a line in one piece where the system takes it so."""
        was_torn = self._is_torn
        data = b"\n" + line if was_torn else line
        # A signal handler may raise in between: the next line does not go on in this one.
        self._is_torn = True
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError:
            self._is_torn = was_torn or done > 0
            raise
        self._is_torn = False

    def close(self) -> None:
        """Close the file; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class StreamOutput:
    """Writes lines to a stream of the user's, text or binary, which stays open at the end.

    Args:
        stream: Anything with `write`.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._is_binary = isinstance(stream, (io.RawIOBase, io.BufferedIOBase))
        self.name = str(getattr(stream, "name", None) or f"<{type(stream).__name__}>")

    def write_line(self, line: bytes) -> None:
        """Write a line, and flush: a forked child must not have it in its buffer too."""
        if not self._is_binary:
            try:
                self._write_text(line)
            except TypeError:  # a binary stream in a wrapper, such as a named temporary file
                self._write_bytes(line)
                self._is_binary = True
        else:
            self._write_bytes(line)
        flush = getattr(self._stream, "flush", None)
        if flush is not None:
            flush()

    def _write_text(self, line: bytes) -> None:
        try:
            self._stream.write(line.decode())
        except UnicodeEncodeError:  # the stream's encoding has not all characters
            self._stream.write(json.dumps(decode(line)) + "\n")

    def _write_bytes(self, line: bytes) -> None:
        done = 0
        while done < len(line):  # a stream without a buffer may take a part
            written = self._stream.write(line[done:])
            if written is not None:
                done += written
            elif isinstance(self._stream, io.RawIOBase):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            else:  # not all objects with a `write` count
                return

    def close(self) -> None:
        """Leave the stream to its owner."""
