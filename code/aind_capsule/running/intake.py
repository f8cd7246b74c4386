"""The socket that records from inside arrive on: our logger set-up in any process of the run.

A Unix stream socket in a folder of its own that only this user may enter. One JSON object a line;
what has a `capsule` key, and no `message`, is a message to us, all else is a record.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.records.redaction.known import is_worth_finding
from aind_capsule.records.redaction.stream import LOOK_AHEAD_BYTES
from aind_capsule.records.shrink import MAX_RECORD_BYTES
from aind_capsule.running.additions import KIND
from aind_capsule.running.journal import Journal, StatedName
from aind_capsule.running.loop import READABLE, Loop, Timer
from aind_capsule.running.process.socket_folder import open_listener, remove_socket_folder

VERSION = 1
_READ_BYTES = 256 * 1024
_MESSAGE_KEY = b'"capsule"'
#: Without these the wrapper could neither find the processes of the run nor rescue its files.
_KEPT_DESCRIPTORS = 8
_ACCEPT_AGAIN_S = 0.1


class Intake:
    """Accepts connections of the processing's and hands their records to the journal.

    Args:
        loop: Watches the sockets.
        journal: Takes the records.
        environ: The environment, which may name a folder for sockets.

    Raises:
        OSError: No folder or no socket can be made.

    Attributes:
        path: The socket's.
        environment: What the first Python of the processing told of itself.
    """

    def __init__(
        self, loop: Loop, journal: Journal, environ: Mapping[str, str], *, echo: bool
    ) -> None:
        self.environment: dict[str, Any] = {}
        self._loop = loop
        self._journal = journal
        self._echo = echo
        self._connections: dict[int, _Connection] = {}
        self._is_paused = False
        self._has_refused = False
        self._again: Timer | None = None
        self._limit = os.sysconf("SC_OPEN_MAX")  # the wrapper has raised it; -1 is none
        self._listener, self.path = open_listener(environ)
        self._listen()

    @property
    def is_idle(self) -> bool:
        """Whether no process is connected."""
        return not self._connections

    def pause(self) -> None:
        """Read no records for now: the console cannot take them."""
        self._is_paused = True
        for fd, connection in self._connections.items():
            if connection.has_greeted:  # a hello is answered all the same
                self._loop.unwatch(fd)

    def resume(self) -> None:
        """Read records again."""
        if self._is_paused:
            self._is_paused = False
            for fd, connection in self._connections.items():
                self._loop.watch(fd, READABLE, connection.on_ready)

    def close(self) -> None:
        """Take what has arrived, then close all; what is torn is counted."""
        self._accept(READABLE)  # who has connected in the last moment, and may have ended since
        if self._again is not None:
            self._again.cancel()
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        for connection in list(self._connections.values()):
            while connection.read():
                pass
            connection.close()
        remove_socket_folder(os.path.dirname(self.path))

    def _listen(self) -> None:
        self._loop.watch(self._listener.fileno(), READABLE, self._accept)

    def _accept(self, _events: int) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:  # nobody is waiting any more
                return
            except OSError:  # descriptors or memory have run out, and who waits waits still
                self._loop.unwatch(self._listener.fileno())
                self._again = self._loop.call_in(_ACCEPT_AGAIN_S, self._listen)
                return
            if self._is_too_many(client.fileno()):
                self._refuse(client)
                continue
            client.setblocking(False)
            connection = _Connection(client, self._take_line, self._forget)
            self._connections[client.fileno()] = connection
            self._loop.watch(client.fileno(), READABLE, connection.on_ready)

    def _is_too_many(self, fd: int) -> bool:
        return 0 <= self._limit <= fd + _KEPT_DESCRIPTORS

    def _refuse(self, client: socket.socket) -> None:
        """Close a connection: its process keeps its records itself, and says so."""
        with client:
            try:
                is_gone = not client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except OSError:
                is_gone = False
        if is_gone or self._has_refused:  # another run has only looked whether anybody is here
            return
        self._has_refused = True
        self._journal.log(
            "WARNING",
            f"RLIMIT_NOFILE (ulimit -n) is {self._limit}: no descriptors are left for the records"
            " of more processes, which keep their own",
        )

    def _forget(self, connection: _Connection, torn_bytes: int) -> None:
        fd = connection.socket.fileno()
        self._loop.unwatch(fd)
        self._connections.pop(fd, None)
        if torn_bytes:
            self._journal.count_lost("torn_inside_records")

    def _take_line(self, connection: _Connection, line: bytes) -> None:
        if len(line) > MAX_RECORD_BYTES:
            self._take_beginning(connection, line)
            return
        if _MESSAGE_KEY in line:  # other languages write names in an order of their own
            message = decode(line) or {}
            if "capsule" in message and "message" not in message:  # a user's field may be named so
                self._take_message(connection, message)
                return
        self._journal.write_inside(line, connection.stated_name)

    def _take_beginning(self, connection: _Connection, line: bytes) -> None:
        if not connection.has_greeted:  # of a hello every secret must be known
            self._journal.count_lost("torn_inside_records")
            connection.close()
        elif not self._journal.write_beginning(line, connection.stated_name):
            self._journal.write_torn(line)

    def _take_message(self, connection: _Connection, message: Mapping[str, Any]) -> None:
        kind = message.get("capsule")
        if kind == "hello":
            secrets = message.get("secrets")
            self._journal.redactor.learn(
                value
                for value in (secrets if isinstance(secrets, list) else ())
                if isinstance(value, str) and is_worth_finding(value)
            )
            answer = {
                "capsule": "welcome",
                "version": VERSION,
                "run_id": self._journal.fields["run_id"],
                "pid": os.getpid(),
                "fields": self._journal.fields,
                "echo": self._echo,
                "wants": self._find_wants(),
            }
            connection.send(encode(answer) + b"\n")
            connection.has_greeted = True
            if self._is_paused:
                self._loop.unwatch(connection.socket.fileno())
        elif kind == KIND:
            self._journal.additions.take(message)
        elif kind == "name":
            stated = self._journal.state_name(message.get("process_name"))
            connection.stated_name = stated or connection.stated_name
        elif kind == "environment":
            if not self.environment:  # the first Python is the processing's, others are its helpers
                self.environment = {k: item for k, item in message.items() if k != "capsule"}
        else:
            self._journal.count_lost("unknown_messages")

    def _find_wants(self) -> list[str]:
        wants = [] if self.environment else ["environment"]
        return [*wants, "name"] if self._journal.is_name_guess else wants


class _Connection:
    """One process's connection: bytes to lines."""

    def __init__(
        self,
        client: socket.socket,
        take_line: Callable[[_Connection, bytes], None],
        forget: Callable[[_Connection, int], None],
    ) -> None:
        self.socket = client
        self.has_greeted = False
        self.stated_name: StatedName | None = None
        self._take_line = take_line
        self._forget = forget
        self._rest = bytearray()
        self._is_skipping = False

    def on_ready(self, _events: int) -> None:
        self.read()

    def read(self) -> bool:
        """Read once; False where nothing has arrived or the other end is gone."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        if self._rest or self._is_skipping:
            end = data.find(b"\n") + 1
            self._take_part(data[: end or len(data)])
            if not end:
                return True
            data = data[end:]
        *lines, rest = data.split(b"\n")
        for line in lines:
            if line:
                self._take_line(self, line)
        self._take_part(rest)
        return True

    def _take_part(self, part: bytes) -> None:
        """Take a part of a line, with its end where it has one."""
        self._rest += part
        is_whole = part.endswith(b"\n")
        is_too_long = len(self._rest) > MAX_RECORD_BYTES + LOOK_AHEAD_BYTES
        if self._is_skipping:
            self._rest.clear()
        elif is_whole or is_too_long:
            line = bytes(self._rest[: MAX_RECORD_BYTES + LOOK_AHEAD_BYTES]).rstrip(b"\n")
            self._rest.clear()
            if line:
                self._take_line(self, line)
        self._is_skipping = not is_whole and (self._is_skipping or is_too_long)

    def send(self, data: bytes) -> None:
        """Answer; a client that does not read its answer goes without."""
        with contextlib.suppress(OSError):
            self.socket.send(data)

    def close(self) -> None:
        """End the connection."""
        if self.socket.fileno() >= 0:
            self._forget(self, len(self._rest))
            self.socket.close()
