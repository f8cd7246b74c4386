"""A terminal that a run is started on."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios

from tests.conftest import Capsule


class Terminal:
    """A shell-like parent on a pseudo-terminal: the run is a job of its own in the foreground."""

    def __init__(self, capsule: Capsule, command: list[str], columns: int = 0) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.chdir(capsule.code)
            os.execvpe(command[0], command, capsule.environ)
        self.seen = b""

    def read_until(self, text: bytes) -> None:
        """Read what is shown until something is in it."""
        while text not in self.seen:
            assert select.select([self.fd], [], [], 30)[0], f"{text!r} was not shown: {self.seen!r}"
            self.seen += os.read(self.fd, 4096)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.fd, keys)

    def wait(self) -> int:
        """The exit status; reads what is shown until the end."""
        while True:
            assert select.select([self.fd], [], [], 60)[0], f"no end: {self.seen!r}"
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
