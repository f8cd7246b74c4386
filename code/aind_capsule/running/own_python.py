"""Start a module of ours in a Python of its own, as this one finds it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence

#: Not `-m`, which would look for modules in the working folder first, and that is the user's.
_BOOT = (
    "import sys; module, count = sys.argv[1], int(sys.argv[2]); words = sys.argv[3:3 + count]\n"
    "sys.path[:] = sys.argv[3 + count:]; sys.argv[1:] = words\n"
    "import runpy; runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def build_own_command(module: str, words: Sequence[str]) -> list[str]:
    """The command line of a module of ours.

    Raises:
        FileNotFoundError: Nobody knows where this Python is.
    """
    if not sys.executable:
        raise FileNotFoundError("the path of this Python is unknown")
    # -B: nothing is written into the code folder.
    return [sys.executable, "-B", "-c", _BOOT, module, str(len(words)), *words, *sys.path]


@contextlib.contextmanager
def block_signals() -> Iterator[None]:
    """What is started meanwhile begins with all signals blocked, and says what to do with them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
