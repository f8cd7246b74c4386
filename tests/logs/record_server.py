"""A double of the wrapper's side of the socket: it keeps to the protocol, and wants clients to.

Threaded, on a real Unix socket. What a client does wrong is kept in `faults`; a test that uses the
fixture fails on any. The real wrapper is held to the same tests in `tests/running`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

from aind_capsule.records.schema import find_faults
from tests.conftest import wait_until

MAX_LINE_BYTES = 1024 * 1024
FIELDS = {
    "run_id": "20260101T000000-0123abcd",
    "process_name": "from-the-wrapper",
    "hostname": "host-1",
}
_RESERVED = ("seq", "stream", "shipping")


def parse_json(line: bytes) -> dict[str, Any]:
    """A JSON object as RFC 8259 has it: UTF-8, no NaN, no name twice."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} in {line!r}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), f"a name stands twice: {line!r}"
        return dict(pairs)

    value = json.loads(line.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)
    assert isinstance(value, dict), line
    return value


class RecordServer:
    """Takes records from any number of processes.

    Args:
        folder: Where the socket is made.
        echo: What the welcome says of the console.
        wants: What the welcome asks for.
        is_mute: Accept, and never answer a hello.
        is_deaf: Answer the hello, and read nothing after it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        echo: bool = True,
        wants: tuple[str, ...] = (),
        is_mute: bool = False,
        is_deaf: bool = False,
    ) -> None:
        self.path = str(folder / "records.sock")
        self.records: list[dict[str, Any]] = []
        self.environments: list[dict[str, Any]] = []
        self.names: list[dict[str, Any]] = []
        self.pids: list[int] = []
        self.faults: list[str] = []
        self._welcome = {"echo": echo, "wants": list(wants)}
        self._is_mute, self._is_deaf = is_mute, is_deaf
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(1024)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def environ(self) -> dict[str, str]:
        """What the wrapper exports."""
        return {
            "CAPSULE_SOCKET": self.path,
            "CAPSULE_RUN_ID": FIELDS["run_id"],
            "CAPSULE_WRAPPER_PID": str(os.getpid()),
        }

    @property
    def messages(self) -> list[str]:
        """The messages of the records."""
        return [record["message"] for record in self.records]

    def find(self, message: str) -> dict[str, Any]:
        """The one record with a message."""
        (record,) = [record for record in self.records if record["message"] == message]
        return record

    def wait_for_records(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many records have come."""
        wait_until(lambda: len(self.records) >= count)
        return self.records

    def die(self) -> None:
        """End as a killed wrapper does: everything closes, and the socket's file stays."""
        self._stop_listening()
        with self._lock:
            for client in self._open:
                client.shutdown(socket.SHUT_RDWR)

    def settle(self) -> None:
        """Wait until every client that has connected is gone, and all it sent is taken."""
        wait_until(lambda: not self._open)

    def close(self) -> None:
        """Close everything."""
        self._closing.set()
        self._stop_listening()
        with self._lock:
            for client in self._open:
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)

    def _stop_listening(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        self._acceptor.join(20)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            file = client.makefile("rb")
            hello = file.readline(MAX_LINE_BYTES + 1)
            if not hello:  # it was killed or interrupted before it said a word
                return
            self._take_hello(client, hello)
            if self._is_deaf:
                self._closing.wait(60)
                return
            while line := file.readline(MAX_LINE_BYTES + 1):
                self._take_line(line)
        except OSError:
            pass
        except (AssertionError, ValueError) as error:
            self.faults.append(f"{error!r}")
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()

    def _take_hello(self, client: socket.socket, line: bytes) -> None:
        hello = parse_json(line)
        peer = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        expected = {"capsule": "hello", "version": 1, "purpose": "records", "pid": peer}
        secrets = hello.pop("secrets")
        assert all(isinstance(value, str) for value in secrets)
        assert hello == expected, f"hello {hello}, expected {expected}"
        with self._lock:
            self.pids.append(peer)
        if self._is_mute:
            return
        welcome = {
            "capsule": "welcome",
            "version": 1,
            "run_id": FIELDS["run_id"],
            "pid": os.getpid(),
        }
        client.sendall(json.dumps({**welcome, "fields": FIELDS, **self._welcome}).encode() + b"\n")

    def _take_line(self, line: bytes) -> None:
        assert line.endswith(b"\n"), f"a torn or too long line of {len(line)} bytes: {line[:200]!r}"
        record = parse_json(line)
        if "capsule" in record:
            kind = record["capsule"]
            assert kind in ("environment", "name"), record
            assert kind in self._welcome["wants"], f"nobody asked for the {kind}"
            with self._lock:
                (self.environments if kind == "environment" else self.names).append(record)
            return
        taken = [name for name in (*FIELDS, *_RESERVED) if name in record]
        assert not taken, f"the record carries {taken}"
        faults = [fault for fault in find_faults(record) if not fault.is_warning]
        assert not faults, f"{faults} in {line[:500]!r}"
        with self._lock:
            self.records.append(record)
