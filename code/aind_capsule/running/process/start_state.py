"""Hold signals and fill closed descriptors, before anything else of `capsule` is imported.

Process 1 of a container loses a SIGTERM that nobody handles yet, but not one that is blocked. It
stays pending until the signal inbox takes it. Only what the interpreter has loaded anyway is
imported here.
"""

from __future__ import annotations

# Not `signal`, which first imports `enum` and what that needs.
import _signal  # type: ignore[import-not-found]
import contextlib
import sys

from aind_capsule.context.descriptors import fill_standard

#: These would end the process, or (process 1) be lost, while nobody handles them.
_HELD_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
_closed_fds: tuple[int, ...] = ()
_signal_mask: frozenset[int] | None = None


def fill_descriptors() -> tuple[int, ...]:
    """Open the null device on closed standard descriptors. Return those that were closed."""
    global _closed_fds
    filled = fill_standard()
    for fd in filled:
        name, mode = _STREAMS[fd]
        with contextlib.suppress(OSError):  # a container without devices
            setattr(sys, name, open(fd, mode, closefd=False))  # noqa: SIM115
    _closed_fds += filled
    return _closed_fds


def hold_signals() -> frozenset[int]:
    """Block the signals that the wrapper handles later. Return the mask before that."""
    global _signal_mask
    if _signal_mask is None:
        held = [getattr(_signal, name) for name in _HELD_SIGNALS]
        _signal_mask = frozenset(_signal.pthread_sigmask(_signal.SIG_BLOCK, held))
    return _signal_mask


def release_signals() -> None:
    """Restore the mask before `hold_signals`, where nothing takes the signals up."""
    if _signal_mask is not None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, _signal_mask)
