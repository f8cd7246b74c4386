"""Records from inside: one connection from this process to the wrapper around it.

The wrapper's side is `running.intake`; the protocol is documented there and in the reference. A
send never raises into the user's code, waits a bounded time, and where the wrapper is gone the
records go to stderr, readable. Calls come one at a time (`target.SerialTarget` sees to that).
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any

from aind_capsule.context.descriptors import spare_standard
from aind_capsule.logs.stderr import print_record, say
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.redaction.redactor import Redactor

#: The wrapper answers within 1 s; a machine that is overloaded may take longer.
HELLO_WAIT_S = 5.0
SEND_WAIT_S = 5.0
VERSION = 1
#: A wrapper that has died must not kill a processing that has SIGPIPE at its default.
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
_MAX_WELCOME_BYTES = 1024 * 1024


class WrapperConnection:
    """This process's connection to the wrapper.

    Args:
        path: The wrapper's socket (`CAPSULE_SOCKET`).
        redactor: Hides secrets where records do not go to the wrapper, which else does it; the
            wrapper is told the secrets of this process's environment, for it may not know them.
        hello_wait_s: How long the wrapper may take to answer.
        send_wait_s: How long a send may take.

    Raises:
        OSError: Nobody answers there.

    Attributes:
        path: The wrapper's socket.
        fields: What the wrapper puts into every record.
    """

    def __init__(
        self,
        path: str,
        redactor: Redactor,
        *,
        hello_wait_s: float = HELLO_WAIT_S,
        send_wait_s: float = SEND_WAIT_S,
    ) -> None:
        self.path = path
        self._redactor = redactor
        self._hello_wait_s = hello_wait_s
        self._send_wait_s = send_wait_s
        self._must_connect = False
        self._process_name: str | None = None
        self._wants_name = False
        self._socket: socket.socket | None = None
        welcome = self._connect()
        fields = welcome.get("fields")
        self.fields: Mapping[str, Any] = fields if isinstance(fields, dict) else {}
        self._is_echoed = bool(welcome.get("echo"))
        if "environment" in (welcome.get("wants") or ()):
            self.send(encode({"capsule": "environment", **describe_python()}))

    @property
    def redactor(self) -> None:
        """Secrets are hidden by the wrapper."""

    @property
    def cut_redactor(self) -> Redactor:
        """Knows the secrets of this process's environment, and its settings."""
        return self._redactor

    @property
    def is_usable(self) -> bool:
        """Whether the wrapper takes records still, as far as is known."""
        return self._socket is not None or self._must_connect

    @property
    def is_echoed(self) -> bool:
        """Whether people see the records on stderr: by the wrapper, or by us where it is gone."""
        return self._is_echoed or self._socket is None

    def state_name(self, process_name: str) -> None:
        """Have this process's records bear its own name, where the run's name is a guess."""
        is_new, self._process_name = process_name != self._process_name, process_name
        if is_new and self._socket is not None and self._wants_name:
            self.send(_encode_name(process_name))

    def send(self, record: bytes) -> None:
        """Send a record, or print it where the wrapper is gone; never raises an error."""
        if self._must_connect:
            self._reconnect()
        client = self._socket
        if client is not None:
            try:
                client.sendall(record + b"\n", _NO_SIGNAL)
            except Exception as error:  # whatever it is, the user's code must not see it
                self.close()
                say(f"the wrapper does not take records any more ({error}); they come here")
            except BaseException:  # raised again
                # A signal handler of the user's ended the call (Ctrl-C): what was sent may end in
                # the middle of a record, and the next one must not continue it.
                self.forget()
                raise
            else:
                return
        print_record(self._redactor.redact_record(record))

    def forget(self) -> None:
        """Let go of the connection and make another at the next send (in a forked child)."""
        self.close()
        self._must_connect = True

    def finish(self) -> None:
        """Nothing is left to say at the end: what was sent is in the kernel's hands."""

    def close(self) -> None:
        """Close the connection."""
        client, self._socket = self._socket, None
        if client is not None:
            client.close()

    def _reconnect(self) -> None:
        try:
            self._connect()
        except Exception as error:  # whatever it is, the user's code must not see it
            self._must_connect = False
            say(f"the wrapper does not answer this process ({error}); its records come here")

    def _connect(self) -> dict[str, Any]:
        deadline_s = time.monotonic() + self._hello_wait_s
        with spare_standard():  # what is printed may not go to the wrapper as records
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _connect_until(client, self.path, deadline_s)
            welcome = _say_hello(client, deadline_s, self._redactor.known)
            client.settimeout(self._send_wait_s)
            self._wants_name = "name" in (welcome.get("wants") or ())
            if self._process_name is not None and self._wants_name:  # a forked child's connection
                client.sendall(_encode_name(self._process_name) + b"\n", _NO_SIGNAL)
        except BaseException:  # Ctrl-C too: a descriptor that nobody knows may not stay open
            client.close()
            raise
        self._socket, self._must_connect = client, False
        return welcome


def _connect_until(client: socket.socket, path: str, deadline_s: float) -> None:
    while True:
        client.settimeout(_find_left(deadline_s))
        try:
            client.connect(path)
        except BlockingIOError:  # many processes start at once: the wrapper's queue is full
            time.sleep(0.01)
        else:
            return


def _say_hello(
    client: socket.socket, deadline_s: float, secrets: Collection[str]
) -> dict[str, Any]:
    hello = {"capsule": "hello", "version": VERSION, "purpose": "records", "pid": os.getpid()}
    # When the welcome comes the wrapper knows them, before anything is printed from here on.
    client.sendall(encode({**hello, "secrets": sorted(secrets)}) + b"\n", _NO_SIGNAL)
    answer = b""
    while not answer.endswith(b"\n"):
        client.settimeout(_find_left(deadline_s))
        data = client.recv(65536)
        answer += data
        if not data or len(answer) > _MAX_WELCOME_BYTES:
            raise OSError("no answer to the hello")
    welcome = decode(answer)
    if welcome is None or welcome.get("capsule") != "welcome":
        raise OSError(f"an answer that is no welcome: {answer!r:.100}")
    return welcome


def _encode_name(process_name: str) -> bytes:
    return encode({"capsule": "name", "process_name": process_name})


def _find_left(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no answer in time")
    return left_s


def describe_python() -> dict[str, Any]:
    """This interpreter and its packages, by the names of their metadata folders."""
    packages: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError, TypeError, ValueError):  # anything may stand there
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
