"""Records from inside: one connection from this process to the wrapper around it.

The wrapper's side is `running.intake`; the protocol is documented there and in the reference. A
send never raises into the user's code, waits a bounded time, and where the wrapper is gone the
records go to stderr, readable.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from aind_capsule.logs.console import format_record
from aind_capsule.records.encode import decode, encode

HELLO_WAIT_S = 1.0
SEND_WAIT_S = 5.0
VERSION = 1


class WrapperConnection:
    """This process's connection to the wrapper.

    Args:
        path: The wrapper's socket (`CAPSULE_SOCKET`).
        send_wait_s: How long a send may take.

    Raises:
        OSError: Nobody answers there.

    Attributes:
        fields: What the wrapper puts into every record.
        is_echoed: Whether the wrapper shows records on its stderr.
    """

    def __init__(self, path: str, *, send_wait_s: float = SEND_WAIT_S) -> None:
        self._path = path
        self._send_wait_s = send_wait_s
        self._socket: socket.socket | None = None
        welcome = self._connect()
        self.run_id = str(welcome.get("run_id"))
        self.fields: Mapping[str, Any] = welcome.get("fields") or {}
        self.is_echoed = bool(welcome.get("echo"))
        if "environment" in (welcome.get("wants") or ()):
            self.send(encode({"capsule": "environment", **describe_python()}))

    def send(self, record: bytes) -> None:
        """Send a record, or print it where the wrapper is gone; never raises."""
        client = self._socket
        if client is not None:
            try:
                client.sendall(record + b"\n")
            except Exception as error:  # whatever it is, the user's code must not see it
                self.close()
                _say(f"the wrapper does not take records any more ({error}); they come here")
            else:
                return
        print_record(record)

    def reopen(self) -> None:
        """In a forked child: the connection is its parent's; make one of its own."""
        self.close()
        try:
            self._connect()
        except OSError as error:
            _say(f"the wrapper does not answer this process ({error}); its records come here")

    def close(self) -> None:
        """Close the connection."""
        client, self._socket = self._socket, None
        if client is not None:
            client.close()

    def _connect(self) -> dict[str, Any]:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.settimeout(HELLO_WAIT_S)
            client.connect(self._path)
            welcome = _say_hello(client)
            client.settimeout(self._send_wait_s)
        except BaseException:
            client.close()
            raise
        self._socket = client
        return welcome


def _say_hello(client: socket.socket) -> dict[str, Any]:
    hello = {"capsule": "hello", "version": VERSION, "purpose": "records", "pid": os.getpid()}
    client.sendall(encode(hello) + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        data = client.recv(65536)
        if not data:
            raise OSError("no answer to the hello")
        answer += data
    welcome = decode(answer)
    if welcome is None or welcome.get("capsule") != "welcome":
        raise OSError(f"an answer that is no welcome: {answer!r:.100}")
    return welcome


def print_record(record: bytes) -> None:
    """A record on stderr for people; where that fails too there is nowhere left."""
    decoded = decode(record) or {"message": record.decode("utf-8", "replace")}
    with contextlib.suppress(Exception):  # stderr is closed or gone
        os.write(_get_stderr_fd(), (format_record(decoded) + "\n").encode("utf-8", "replace"))


def _get_stderr_fd() -> int:
    """The real stderr: what is captured or replaced in Python does not concern records."""
    try:
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
    except (OSError, ValueError):
        return 2


def _say(message: str) -> None:
    print_record(encode({"level": "WARNING", "message": f"aind-capsule: {message}"}))


def describe_python() -> dict[str, Any]:
    """This interpreter and its packages, by the names of their metadata folders."""
    packages: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder or "."):
                stem, _, ending = entry.rpartition(".")
                name, _, version = stem.partition("-")
                if ending == "dist-info" and version:
                    packages.setdefault(name.replace("_", "-").lower(), version)
    return {
        "python": sys.version.split()[0],
        "implementation": sys.implementation.name,
        "executable": sys.executable,
        "packages": dict(sorted(packages.items())),
    }
