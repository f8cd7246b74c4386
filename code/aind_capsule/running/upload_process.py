"""The process that uploads: how a run starts it, asks it one thing after the other, and ends it."""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from aind_capsule.records.encode import decode, encode
from aind_capsule.running.own_python import start_own_python
from aind_capsule.settings.model import Settings

RESUME = "`capsule upload --resume` does it later"
#: A job of 20 hours is worth so many seconds of looking, and not more.
_CHECK_S = 10.0

Wait = Callable[[float], bool]


class UploadProcess:
    """`python -m aind_capsule.upload`, asked one thing after the other.

    Args:
        settings: The run's.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, settings: Settings) -> None:
        self._process: subprocess.Popen[bytes] = start_own_python("aind_capsule.upload", [])
        self._rest = b""
        self._is_busy = False
        self._write(base64.b64encode(pickle.dumps(settings)))

    def ask(
        self,
        asked: Mapping[str, Any],
        limit_s: float | None,
        wait: Wait,
        tell: Callable[[Mapping[str, Any]], None],
    ) -> dict[str, Any]:
        """Ask for one thing; what it answers, or why there is no answer.

        Args:
            asked: What.
            limit_s: Seconds, or None to wait as long as it takes.
            wait: Waits for so many seconds, or less; returns whether to stop waiting.
            tell: Takes progress.
        """
        self._write(encode(asked))
        self._is_busy = True
        deadline = None if limit_s is None else time.monotonic() + limit_s
        while True:
            for message in self._read():
                if "progress" not in message:
                    self._is_busy = False
                    return message
                tell(message["progress"])
            if self._process.poll() is not None:
                return {"problem": "the process for it has ended", "hint": RESUME}
            if deadline is not None and time.monotonic() > deadline:
                return {"problem": f"no answer within {limit_s:g} s", "hint": ""}
            if wait(0.02):
                return {"problem": "it was interrupted", "hint": RESUME}

    def close(self) -> None:
        """Take leave: idle it ends by itself, soon; busy it is killed, which its journal bears."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        if self._is_busy:
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
            return
        self._process.kill()
        self._process.wait()

    def _read(self) -> list[dict[str, Any]]:
        data = b""
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            while chunk := os.read(self._process.stdout.fileno(), 1 << 16):
                data += chunk
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [decode(line) or {} for line in lines]

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(line + b"\n")


def check_upload(settings: Settings, wait: Wait) -> dict[str, Any]:
    """Find out whether `upload.url` can be written: `problem` says why not, or is left out.

    Args:
        settings: `upload` and `s3`.
        wait: As for `UploadProcess.ask`.
    """
    asked = {"do": "check", "url": settings.upload.url, "asset": settings.upload.asset_name}
    try:
        process = UploadProcess(settings)
    except OSError as error:
        return {"problem": f"no process can be started for it: {error}", "hint": ""}
    try:
        return process.ask(asked, _CHECK_S, wait, lambda _: None)
    finally:
        process.close()
