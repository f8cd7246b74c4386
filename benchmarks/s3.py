"""Results to S3 against awscli and rclone: `make bench` (see README.md beside this file).

The peers and the servers are in an environment of their own, whose `bin` is the first argument:
awscli pins boto3. Each tool has its turn in each round; CPU seconds of the client are compared, and
those of the server are printed apart. Rates are printed: on a machine that is shared they judge
nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CAPSULE = str(Path(sys.executable).with_name("capsule"))
ROUNDS = int(os.environ.get("BENCH_S3_ROUNDS", "5"))
SERVERS = os.environ.get("BENCH_S3_SERVERS", "rclone,seaweedfs").split(",")
BIG_MB = int(os.environ.get("BENCH_S3_BIG_MB", "2000"))
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchbench", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip


@dataclass(frozen=True)
class Tree:
    """Files that are uploaded.

    Attributes:
        goals: By peer, what our CPU seconds may be of the peer's at most.
    """

    name: str
    count: int
    size: int
    goals: dict[str, float] = field(default_factory=dict)


#: By name; `BENCH_S3_TREES` chooses some.
TREES = {
    tree.name: tree
    for tree in (
        Tree("one", 1, 4096, {"awscli": 0.8}),
        Tree("5k", 5_000, 4096, {"rclone": 0.85}),
        Tree("20k", 20_000, 4096, {"rclone": 0.85}),
        Tree("medium", 500, 1_000_000, {"rclone": 0.85}),
        Tree("large", 1, BIG_MB * 1_000_000, {"rclone": 0.85, "awscli": 1.0}),
    )
}
CHOSEN = os.environ.get("BENCH_S3_TREES", ",".join(TREES)).split(",")
VERIFY_GOAL = 0.6
AGAIN_GOAL_US = 60
#: CPU seconds of a second upload of one file, by server.
STARTS: dict[str, float] = {}


@dataclass(frozen=True)
class Result:
    """One command.

    Attributes:
        server_cpu_s: What the server used meanwhile.
    """

    took_s: float
    cpu_s: float
    server_cpu_s: float
    peak_mb: float


class Server:
    """An S3 server with an empty bucket.

    Args:
        kind: `rclone`, `seaweedfs`, or `versitygw` where that is on PATH.
        peers: Folder of the programs.
        folder: For its data.
    """

    def __init__(self, kind: str, peers: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "data" / "bucket").mkdir(parents=True)
        ports = _find_ports()
        self.url = f"http://127.0.0.1:{ports[0]}"
        data = folder / "data"
        environ = dict(os.environ)
        if kind == "rclone":
            # Else it reads whole files again for the ETags of a listing; others have them stored.
            command = [peers / "rclone", "serve", "s3", "--addr", f"127.0.0.1:{ports[0]}", "--auth-key",
                       "bench,benchbench", "--etag-hash", "", data]  # fmt: skip
        elif kind == "seaweedfs":
            (folder / "s3.json").write_text(json.dumps({"identities": [{
                "name": "bench", "credentials": [{"accessKey": "bench", "secretKey": "benchbench"}], "actions": ["Admin"],
            }]}))  # fmt: skip
            command = [peers / "weed", "server", f"-dir={data}", "-ip=127.0.0.1", "-s3", f"-s3.port={ports[0]}",
                       f"-s3.config={folder / 's3.json'}", f"-master.port={ports[1]}", f"-volume.port={ports[2]}",
                       f"-filer.port={ports[3]}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-volume.max=100", "-master.volumeSizeLimitMB=256"]  # fmt: skip
        else:
            environ |= {"ROOT_ACCESS_KEY": "bench", "ROOT_SECRET_KEY": "benchbench"}
            command = [
                shutil.which("versitygw") or "versitygw",
                "--port",
                f"127.0.0.1:{ports[0]}",
                "posix",
                data,
            ]
        self._process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        self._wait()
        if kind == "seaweedfs":
            _run([str(peers / "aws"), "--endpoint-url", self.url, "s3", "mb", "s3://bucket"])

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def read_cpu_s(self) -> float:
        """Return the CPU seconds that it has used."""
        numbers = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return


def _find_ports() -> list[int]:
    """Find four free ports; SeaweedFS takes those 10,000 above, too."""
    found: list[int] = []
    while len(found) < 4:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _run(command: list[str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        done = subprocess.run(command, env={**os.environ, **KEYS}, capture_output=True, check=False)
        if done.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(done.stderr.decode())
        time.sleep(0.5)


@contextmanager
def open_server(kind: str, peers: Path) -> Iterator[Server]:
    """Start a server and end it."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(kind, peers, Path(folder, "server"))
        try:
            yield server
        finally:
            server.stop()


def make_tree(folder: Path, tree: Tree) -> None:
    """Write files of random bytes, 200 in a folder."""
    for number in range(tree.count):
        place = folder / f"d{number // 200}"
        place.mkdir(parents=True, exist_ok=True)
        with (place / f"f{number}").open("wb") as file:
            for start in range(0, tree.size, 1 << 24):
                file.write(os.urandom(min(1 << 24, tree.size - start)))


def measure(server: Server, command: list[str], home: Path) -> Result:
    """Run a command to its end."""
    environ = {**os.environ, **KEYS, "HOME": str(home), "CAPSULE_S3__ENDPOINT_URL": server.url}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody's interpreter compiles each time
    before = server.read_cpu_s()
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(
                f"{command[:3]} has ended with {process.returncode}: {output.read().decode()[-500:]}"
            )
    took_s = time.perf_counter() - began
    cpu_s = usage.ru_utime + usage.ru_stime
    return Result(took_s, cpu_s, server.read_cpu_s() - before, usage.ru_maxrss / 1024)


def build_commands(peers: Path, url: str, tree: Path, name: str) -> dict[str, list[str]]:
    """Build each tool's commands for a tree."""
    remote = f":s3,provider=Other,access_key_id=bench,secret_access_key=benchbench,endpoint='{url}':bucket"
    place = f"s3://bucket/ours/{name}"
    ours = [CAPSULE, "upload", str(tree), "s3://bucket/ours", "--asset-name", name]
    return {
        "ours": ours,
        "rclone": [str(peers / "rclone"), "copy", str(tree), f"{remote}/rclone/{name}"],
        "awscli": [str(peers / "aws"), "--endpoint-url", url, "s3", "cp", "--quiet", "--recursive", str(tree), f"s3://bucket/aws/{name}"],
        "again": ours,
        "verify": [CAPSULE, "upload", "--verify", place],
        "rclone check": [str(peers / "rclone"), "check", "--download", str(tree), f"{remote}/rclone/{name}"],
    }  # fmt: skip


def bench_tree(server: Server, kind: str, peers: Path, folder: Path, tree: Tree) -> None:
    """Measure all tools on one kind of tree, in turn."""
    results: dict[str, list[Result]] = {}
    with tempfile.TemporaryDirectory() as home:
        for number in range(ROUNDS):
            commands = build_commands(peers, server.url, folder, f"{tree.name}{number}")
            for tool, command in commands.items():
                if tool == "awscli" and tree.count > 1000:
                    continue  # ten times as slow, and no goal
                results.setdefault(tool, []).append(measure(server, command, Path(home)))
    cpu = {tool: statistics.median(run.cpu_s for run in runs) for tool, runs in results.items()}
    print(f"s3 {tree.name} on {kind}: {tree.count:,} of {tree.size:,} bytes")
    for tool, runs in results.items():
        took = statistics.median(run.took_s for run in runs)
        served = statistics.median(run.server_cpu_s for run in runs)
        print(f"   {tool:<12} {cpu[tool]:>7.2f} s CPU ({cpu[tool] / tree.count * 1e6:>9,.0f} us a file), server {served:>6.2f} s; "
              f"{took:>6.2f} s, {tree.count / took:>8,.0f} files/s, {tree.count * tree.size / took / 1e6:>7.1f} MB/s, "
              f"peak {max(run.peak_mb for run in runs):>4.0f} MB")  # fmt: skip
    for peer, goal in tree.goals.items():
        print(f"   ours / {peer}: {cpu['ours'] / cpu[peer]:.2f} (goal {goal})")
    if tree.name == "5k":
        print(
            f"   verify / rclone check: {cpu['verify'] / cpu['rclone check']:.2f} (goal {VERIFY_GOAL})"
        )
    if tree.name == "one":
        STARTS[kind] = cpu["again"]
    elif kind in STARTS and tree.count > 1000:
        us = (cpu["again"] - STARTS[kind]) / tree.count * 1e6
        print(f"   again: {us:.0f} us CPU a file beyond that of one file (goal {AGAIN_GOAL_US})")
    sys.stdout.flush()


def main() -> None:
    """Run all."""
    peers = Path(sys.argv[1])
    trees = [TREES[name] for name in CHOSEN]
    with tempfile.TemporaryDirectory() as folder:
        # All of them first: results are rarely uploaded within a second of their making.
        for tree in trees:
            make_tree(Path(folder, tree.name), tree)
        time.sleep(3)
        for kind in SERVERS:
            with open_server(kind, peers) as server:
                for tree in trees:
                    bench_tree(server, kind, peers, Path(folder, tree.name), tree)


if __name__ == "__main__":
    main()
