"""The end of all processes of a run: they are asked, looked after, and what is left is killed.

Called by `supervise`. The watcher, which has no loop, does the same for a wrapper that is dead.
"""

from __future__ import annotations

from aind_capsule.running.loop import Loop, Timer
from aind_capsule.running.process.process_group import ProcessGroup

_LOOK_AGAIN_S = 0.05
#: A process may fork while it is being killed.
_KILLS = 10
_KILL_WAIT_S = 0.5


class Termination:
    """Ends a run's processes.

    Args:
        loop: The wrapper's loop.
        processes: The run's.

    Attributes:
        is_any_left: Whether any was living when it was last looked, after a request.
    """

    def __init__(self, loop: Loop, processes: ProcessGroup) -> None:
        self._loop = loop
        self._processes = processes
        self._look: Timer | None = None
        self.is_any_left = True

    @property
    def is_requested(self) -> bool:
        """Whether the processes were asked to end."""
        return self._look is not None

    def request(self, number: int) -> None:
        """Ask all processes to end, and those too that they start from now on.

        Args:
            number: The signal for the command's group.
        """
        self._processes.ask(number)
        if self._look is None:
            self._look_again()

    def kill_rest(self) -> None:
        """Kill what is left, and look no more."""
        for _ in range(_KILLS):
            if not self._processes.find():
                break
            self._processes.kill()
            self._loop.run_until(lambda: not self.is_any_left, _KILL_WAIT_S)
        if self._look is not None:
            self._look.cancel()

    def _look_again(self) -> None:
        self.is_any_left = self._processes.ask_newcomers()
        self._look = self._loop.call_in(_LOOK_AGAIN_S, self._look_again)
