"""Our own output streams: verbatim, never blocked, and what cannot be written is counted."""

from __future__ import annotations

import os
import pty
import resource
import signal
import socket
import struct
import sys
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.conftest import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capsule run needs Linux")

from aind_capsule.running.loop import Loop  # noqa: E402
from aind_capsule.running.outlet import Outlet, describe_loss  # noqa: E402


class Output:
    """An outlet on some descriptor, with all that it has called."""

    def __init__(self, fd: int) -> None:
        self.loop = Loop()
        self.called: list[str] = []
        self.outlet = Outlet(
            fd,
            self.loop,
            lambda: self.called.append("gone"),
            lambda: self.called.append("drained"),
            self.called.append,
        )

    def run(self) -> None:
        """Let out what goes out now."""
        for _ in range(6):
            self.loop.run_once(0)


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """An outlet that blocks fails its test."""

    def fail(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("it blocks")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def _open_pipe() -> tuple[int, int]:
    return os.pipe()


def _open_terminal() -> tuple[int, int]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    return master, slave


def _open_socket() -> tuple[int, int]:
    theirs, ours = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    return theirs.detach(), ours.detach()


def _open_datagrams() -> tuple[int, int]:
    theirs, ours = socket.socketpair(type=socket.SOCK_DGRAM)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    return theirs.detach(), ours.detach()


def _refuse(*_args: object, **_more: object) -> int:
    raise PermissionError(13, "somebody else's")


@pytest.mark.parametrize("is_blocking", [True, False])
@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize("open_ends", [_open_pipe, _open_terminal, _open_socket, _open_datagrams])
def test_a_slow_reader_gets_every_byte(
    open_ends: Callable[[], tuple[int, int]],
    is_blocking: bool,
    is_ours: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever takes less than is there is never waited for; EAGAIN is no error; the mode stays."""
    read_fd, write_fd = open_ends()
    os.set_blocking(write_fd, is_blocking)
    if not is_ours:  # what belongs to somebody else cannot be opened once more
        if open_ends is _open_terminal and is_blocking:
            pytest.skip("a terminal promises one byte only")
        monkeypatch.setattr(os, "open", _refuse)
    output = Output(write_fd)
    data = os.urandom(400_000)
    output.outlet.pass_on(data)
    output.run()
    assert output.outlet.is_full
    assert output.called == []
    received = b""
    while len(received) < len(data):
        received += os.read(read_fd, 30_000)
        output.run()
    assert received == data
    assert output.called == ["drained"]
    assert os.get_blocking(write_fd) is is_blocking
    assert (output.outlet.has_waiting, output.outlet.lost_bytes) == (False, 0)
    os.close(read_fd)
    os.close(write_fd)


def test_a_pipe_that_another_writer_has_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only one page is free no more than that is written to a pipe that would block."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write_fd, bytes(4096))
    os.set_blocking(write_fd, True)
    os.read(read_fd, 4096)
    monkeypatch.setattr(os, "open", _refuse)
    output = Output(write_fd)
    output.outlet.pass_on(bytes(100_000))
    output.run()
    assert output.outlet.has_waiting
    os.close(read_fd)
    os.close(write_fd)


@pytest.mark.parametrize("is_idle", [True, False])
@pytest.mark.parametrize("open_ends", [_open_pipe, _open_socket])
def test_a_reader_that_is_gone(open_ends: Callable[[], tuple[int, int]], is_idle: bool) -> None:
    """It is noticed, once, also while there is nothing to write; what waited is not counted."""
    read_fd, write_fd = open_ends()
    output = Output(write_fd)
    output.run()
    assert not output.outlet.is_gone
    if not is_idle:
        output.outlet.pass_on(bytes(700_000))
    os.close(read_fd)
    output.run()
    assert output.outlet.is_gone
    output.outlet.pass_on(b"later")
    output.run()
    assert output.called == ["gone", "drained"]
    assert (output.outlet.has_waiting, output.outlet.lost_bytes) == (False, 0)
    os.close(write_fd)


def test_a_full_device_is_told_once_and_closes_nothing() -> None:
    """Each byte of the processing's is counted; ours are not missed; the reason is told once."""
    fd = os.open("/dev/full", os.O_WRONLY)
    output = Output(fd)
    output.outlet.write(b"a banner\n")
    assert output.called == []
    assert describe_loss([output.outlet]) is None
    output.outlet.pass_on(b"abc")
    assert not output.outlet.ends_line
    output.outlet.pass_on(b"\n")
    output.outlet.pass_on(b"")
    output.run()
    assert output.called == ["No space left on device"]
    assert (output.outlet.is_gone, output.outlet.lost_bytes) == (False, 4)
    assert output.outlet.ends_line
    assert describe_loss([output.outlet]) == (
        "4 bytes of stdout could not be written: No space left on device"
    )
    os.close(fd)


def test_a_file_at_its_limit_is_tried_again(tmp_path: Path) -> None:
    """EFBIG (SIGXFSZ ends nobody) loses what does not fit; what comes later goes out where it can."""
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    output = Output(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        output.outlet.pass_on(b"a" * 1500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    output.outlet.pass_on(b"b" * 10)
    assert (tmp_path / "out").read_bytes() == b"a" * 1000 + b"b" * 10
    assert (output.outlet.lost_bytes, output.called) == (500, ["File too large"])
    os.close(fd)


def test_a_terminal_that_is_gone_is_an_error() -> None:
    """EIO closes nothing: a shell goes on without us too. Only the processing's bytes count."""
    master, slave = _open_terminal()
    output = Output(slave)
    output.outlet.write(b"ours\n")
    output.outlet.pass_on(b"a" * 100)
    output.outlet.write(b"ours\n")
    output.outlet.pass_on(b"b" * 20)
    output.outlet.pass_on(b"c" * 3)
    os.close(master)
    wait_until(lambda: output.run() or not output.outlet.has_waiting)
    assert output.called == ["Input/output error", "drained"]
    assert (output.outlet.is_gone, output.outlet.lost_bytes) == (False, 123)
    output.outlet.pass_on(b"d")
    output.run()
    assert output.outlet.lost_bytes == 124
    os.close(slave)


def test_a_connection_that_was_reset() -> None:
    """The reset itself is an error (ECONNRESET); from then on nobody reads (EPIPE)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname()).detach()
        theirs, _ = server.accept()
    output = Output(ours)
    output.outlet.pass_on(b"x")
    output.run()
    output.outlet.pass_on(b"yz")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    wait_until(lambda: output.run() or not output.outlet.has_waiting)
    assert (output.called[1], output.outlet.lost_bytes) == ("Connection reset by peer", 2)
    output.outlet.pass_on(b"x")
    wait_until(lambda: output.run() or output.outlet.is_gone)
    os.close(ours)


def test_descriptors_that_are_not_open_for_writing() -> None:
    """`1<fifo`: an error as without us (EBADF), and not one that is waited for."""
    read_fd, write_fd = os.pipe()
    master, slave = _open_terminal()
    read_only = os.open(os.ttyname(slave), os.O_RDONLY | os.O_NOCTTY)
    for fd in (read_fd, read_only):
        output = Output(fd)
        output.outlet.pass_on(b"x")
        assert (output.called, output.outlet.lost_bytes) == (["Bad file descriptor"], 1)
    for fd in (read_fd, write_fd, master, slave, read_only):
        os.close(fd)


def test_a_terminals_other_end_is_not_opened_once_more() -> None:
    """/dev/ptmx opened again is another terminal: its own bytes would be lost there."""
    master, slave = _open_terminal()
    output = Output(master)
    output.outlet.pass_on(b"keys")
    output.run()
    assert os.read(slave, 10) == b"keys"
    os.close(master)
    os.close(slave)


def test_what_waits_is_given_up() -> None:
    """A reader that takes nothing is not waited for: the processing's bytes are counted."""
    read_fd, write_fd = os.pipe()
    output = Output(write_fd)
    output.outlet.give_up()
    assert output.called == []
    output.outlet.pass_on(b"a" * 300_000)
    output.outlet.write(b"ours")
    output.run()
    output.outlet.give_up()
    assert output.called == ["its reader takes nothing"]
    assert not output.outlet.has_waiting
    assert 0 < output.outlet.lost_bytes < 300_000
    assert len(os.read(read_fd, 400_000)) == 300_000 - output.outlet.lost_bytes
    output.run()
    assert not output.outlet.is_gone  # there is room again, and that is all
    os.close(read_fd)
    output.run()
    assert output.outlet.is_gone
    os.close(write_fd)


def test_a_descriptor_that_is_closed() -> None:
    """It counts as one that nobody reads."""
    fd = os.dup(0)
    os.close(fd)
    output = Output(fd)
    output.outlet.pass_on(b"x")
    assert output.outlet.is_gone
    assert output.outlet.lost_bytes == 0
