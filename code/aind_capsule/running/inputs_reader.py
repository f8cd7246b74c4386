"""What is in the data folder, found by a helper process: the folder may be a mount that hangs.

The helper looks at the top-level entries, at the metadata of the data assets among them, at the
code's version, at the `run.json` files of upstream runs, and counts bytes; each answer is sent as
soon as it is known, one JSON line each.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.running.helper import Helper, fork_helper
from aind_capsule.running.inputs import (
    add_links,
    count_bytes,
    find_data_assets,
    find_identity,
    find_inputs,
    find_upstream,
)
from aind_capsule.running.loop import READABLE, Loop
from aind_capsule.running.preparing.data_assets import name_data_assets

#: Behind the wrapper and the processing, where there are few cores.
_NICENESS = 5
#: Counting bytes is given up after this.
COUNT_LIMIT_S = 5.0


class InputsReader:
    """Reads the data folder in a helper process while the processing runs.

    Args:
        data: The data folder.
        find_code: Finds the code's version, as JSON has it; called in the helper.
        loop: Watches the helper.
        is_task: Whether the run is a task of a pipeline.

    Attributes:
        on_upstream: Called when more is known of the runs that the inputs are of.
        found: What is known so far: `inputs`, `identity` (fields that the data assets tell, lists
            of several, `problems`), `code`, `upstream`, `parents`, `data_assets` (name and resolved
            path of each), `inputs_bytes`.
    """

    def __init__(
        self,
        data: str,
        find_code: Callable[[], Mapping[str, Any] | None],
        loop: Loop,
        *,
        is_task: bool,
    ) -> None:
        self.found: dict[str, Any] = {}
        self.on_upstream: Callable[[], None] = lambda: None
        self._loop = loop
        self._helper: Helper | None = None
        self._rest = b""
        with contextlib.suppress(OSError):
            self._helper = fork_helper(
                lambda fd: _report(data, find_code, fd, is_task=is_task), is_reader=False
            )
            loop.watch(self._helper.pipe_fd, READABLE, self._read)

    @property
    def pids(self) -> tuple[int, ...]:
        """The helper's pid."""
        return () if self._helper is None else (self._helper.pid,)

    def wait_for_identity(self, wait_s: float, is_enough: Callable[[], bool]) -> None:
        """Wait until the data assets' metadata are read, so long at most."""
        deadline = time.monotonic() + wait_s
        while self._helper is not None and "identity" not in self.found and not is_enough():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            self._loop.run_once(left_s)

    def finish(self, wait_s: float) -> None:
        """Wait for what is still to be found, so long at most, and end the helper."""
        deadline = time.monotonic() + wait_s
        while self._helper is not None and (left_s := deadline - time.monotonic()) > 0:
            self._loop.run_once(left_s)
        if self._helper is not None:
            with contextlib.suppress(OSError):
                os.kill(self._helper.pid, signal.SIGKILL)
            self._close(os.WNOHANG)  # one that hangs in the kernel on a dead mount ends when it may

    def _read(self, _events: int) -> None:
        assert self._helper is not None
        data = os.read(self._helper.pipe_fd, 1 << 20)
        if not data:
            self._close(0)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            told = decode(line) or {}
            self.found.update(told)
            if "inputs" in told or told.get("parents"):
                self.on_upstream()

    def _close(self, wait_options: int) -> None:
        helper, self._helper = self._helper, None
        if helper is not None:
            self._loop.unwatch(helper.pipe_fd)
            os.close(helper.pipe_fd)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(helper.pid, wait_options)


def _report(
    data: str, find_code: Callable[[], Mapping[str, Any] | None], fd: int, *, is_task: bool
) -> None:
    with open(fd, "wb", buffering=0) as pipe:
        entries = list(find_inputs(data))
        assets = find_data_assets(data) if entries else []
        identity = find_identity(assets)
        pipe.write(encode({"inputs": entries, "identity": identity}) + b"\n")
        os.nice(_NICENESS)  # the start waits for nothing that follows
        pipe.write(encode({"code": find_code()}) + b"\n")
        linked = add_links(data, entries)  # the start does not wait for it
        if linked != entries:
            pipe.write(encode({"inputs": linked}) + b"\n")
        upstream = find_upstream(data)
        named = name_data_assets(
            data, entries, assets, is_task=is_task, handed_on=upstream["handed_on"]
        )
        pipe.write(encode({**upstream, "data_assets": named}) + b"\n")
        size_bytes = count_bytes(data, COUNT_LIMIT_S)
        if size_bytes is not None:
            pipe.write(encode({"inputs_bytes": size_bytes}) + b"\n")
