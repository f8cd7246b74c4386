"""Start `capsule` many times in a second: a process that has imported it forks for each command.

Each command is a process of its own, which can be killed, as if a user had started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_SERVER = """
import json, os, sys
part_bytes = int(sys.argv[1])
if part_bytes:  # before it is imported by name
    import aind_capsule.upload.sending as sending
    sending.PART_BYTES = part_bytes
    sending.MIB = 1  # what parts are rounded up to
import boto3, click
import botocore.session
import aind_capsule.cli.upload
import aind_capsule.upload.jobs
botocore.session.Session().create_client(
    "s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
)
for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if not pid:
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for fd, target in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(fd, target)
        sys.argv = ["capsule", *asked["args"]]
        from aind_capsule.__main__ import start
        try:
            start()
        except BaseException:
            import traceback
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(70)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: As the shell's, negative for a signal.
        output: Its stdout and stderr.
    """

    status: int
    output: str


class Forks:
    """A process that forks for each command, one at a time.

    Args:
        folder: For the output of commands.
        part_bytes: What an object in parts has in each; 0 for what users have.
    """

    def __init__(self, folder: Path, part_bytes: int = 0) -> None:
        self._out = folder / "output"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(part_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        #: Of the command that runs; None while none does.
        self.pid: int | None = None

    def run(self, args: list[str], env: dict[str, str], cwd: Path) -> Ended:
        """Run a command to its end."""
        asked = {"args": args, "env": env, "cwd": str(cwd), "out": str(self._out)}
        stdin, stdout = self._pipes
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        self.pid = int(stdout.readline())
        status = int(stdout.readline())
        self.pid = None
        return Ended(status, self._out.read_text(errors="replace"))

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes:
            pipe.close()

    @property
    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def kill(self) -> None:
        """Kill the command that runs."""
        if self.pid is not None:
            os.kill(self.pid, 9)
