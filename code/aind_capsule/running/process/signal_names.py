"""Names of signals, for people and for records; on every system."""

from __future__ import annotations

import signal


def get_signal_name(number: int) -> str:
    """Return `SIGKILL` for 9; a real-time signal has a number only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
