"""A server that takes pushes as a Loki does and keeps them as they are, to be counted afterwards.

It does as little as it can while it is measured: it stores bodies with their times and answers 204
after a delay, or, with a Loki's default limits on, refuses what is too large for one request: 500
above 4 MiB and 429 above 6 MiB, unpacked. A process of its own, driven by lines on its standard
input: `up`, `down` (refuses connections and cuts those that are open), `hang` (takes connections
and never answers), `size` (prints how many bodies it has), `count` (prints one line of JSON and
forgets what it has).
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import sys
import threading
import time

#: The number in `message 00000042 of the processing`.
PREFIX = "message "
DIGITS = 8
MESSAGE_LIMIT = 4 * 1024 * 1024
RATE_LIMIT = 6 * 1024 * 1024


class Server:
    """Takes pushes.

    Args:
        delay_s: Seconds before each answer.
        has_limits: Whether large requests are refused.
    """

    def __init__(self, delay_s: float, *, has_limits: bool) -> None:
        self.delay_s = delay_s
        self.has_limits = has_limits
        self.port = 0
        self.is_hanging = False
        self.bodies: list[tuple[float, bytes]] = []
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()

    def start(self) -> None:
        """Listen, on the port of before."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, and cut those that are open."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            file = connection.makefile("rb")
            while self._take(connection, file):
                pass
        self._open.discard(connection)

    def _take(self, connection: socket.socket, file: object) -> bool:
        first = file.readline()
        if not first:
            return False
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        if headers.get(b"expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = file.read(int(headers.get(b"content-length", 0)))
        if self.is_hanging:
            time.sleep(3600)
        if self.delay_s:
            time.sleep(self.delay_s)
        if first.startswith(b"POST"):
            is_packed = headers.get(b"content-encoding") == b"gzip"
            # The last four bytes of a gzip member tell its unpacked size: nothing is unpacked here.
            size = int.from_bytes(body[-4:], "little") if is_packed else len(body)
            if self.has_limits and size > MESSAGE_LIMIT:
                is_much = size > RATE_LIMIT
                status = b"429 Too Many Requests" if is_much else b"500 Internal Server Error"
                self._answer(connection, status, b"received message larger than max")
            else:
                self.bodies.append((time.time(), body if is_packed else b"\0" + body))
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:  # the question which lines are there already: none
            found = b'{"status":"success","data":{"resultType":"streams","result":[]}}'
            self._answer(connection, b"200 OK", found)
        return True

    def _answer(self, connection: socket.socket, status: bytes, text: bytes) -> None:
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (status, len(text)) + text)

    def count(self) -> dict[str, float]:
        """What has arrived since it was asked last: messages, different ones, and the last's time."""
        bodies, self.bodies = self.bodies, []
        numbers: list[int] = []
        last = 0.0
        for arrived, body in bodies:
            text = body[1:] if body[:1] == b"\0" else gzip.decompress(body)
            for stream in json.loads(text)["streams"]:
                for entry in stream["values"]:
                    at = entry[1].find(PREFIX)
                    digits = entry[1][at + len(PREFIX) :][:DIGITS]
                    if at >= 0 and digits.isdigit():
                        numbers.append(int(digits))
                        last = arrived
        return {
            "messages": len(numbers),
            "different": len(set(numbers)),
            "last": last,
            "requests": len(bodies),
        }


def main() -> None:
    """Do what the standard input says."""
    server = Server(float(sys.argv[1]), has_limits=sys.argv[2] == "limits")
    server.start()
    print(server.port, flush=True)
    for line in sys.stdin:
        word = line.strip()
        if word == "up":
            server.start()
        elif word == "down":
            server.stop()
        elif word == "hang":
            server.is_hanging = True
        elif word == "size":
            print(len(server.bodies), flush=True)
        elif word == "count":
            print(json.dumps(server.count()), flush=True)


if __name__ == "__main__":
    main()
