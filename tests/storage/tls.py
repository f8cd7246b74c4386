"""TLS in front of a server that has none: what comes is decrypted and passed on, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from tests.shipping.certificates import Certificates, make_certificates

_CHUNK = 1 << 16


class TlsFront:
    """Listens with TLS.

    Args:
        target: The server's address.
        folder: Where certificates are written.

    Attributes:
        url: Its address.
        certificates: Its authority, and others.
    """

    def __init__(self, target: str, folder: Path) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self.certificates: Certificates = make_certificates(folder, "localhost", "127.0.0.1")
        self._context = self.certificates.make_server_context()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            outer = self._context.wrap_socket(plain, server_side=True)
            with outer, socket.create_connection(self._target) as inner:
                back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
                back.start()
                _pump(outer, inner)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on until the end, and pass that on too."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
