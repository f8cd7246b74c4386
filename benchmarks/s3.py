"""Results to S3 against what PyPI has: `make bench` (see README.md beside this file).

awscli and rclone are in an environment of their own, whose `bin` is the first argument: awscli pins
boto3. All talk to the same server, `rclone serve s3`, the quickest that PyPI has.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CAPSULE = str(Path(sys.executable).with_name("capsule"))
SMALL = int(os.environ.get("BENCH_S3_SMALL", "20000"))
BIG_MB = int(os.environ.get("BENCH_S3_BIG_MB", "2000"))
REPEATS = int(os.environ.get("BENCH_S3_REPEATS", "3"))
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchbench", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
#: Name, number of files, bytes of each.
TREES = (("small", SMALL, 4096), ("medium", 500, 1_000_000), ("large", 1, BIG_MB * 1_000_000))


@dataclass
class Result:
    """One upload."""

    took_s: float
    cpu_s: float
    peak_mb: float


@contextmanager
def open_server(rclone: str, folder: Path) -> Iterator[str]:
    """The server, with an empty bucket."""
    (folder / "bucket").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        rclone,
        "serve",
        "s3",
        "--addr",
        address,
        "--auth-key",
        "bench,benchbench",
        # Else it reads whole files again for the ETags of a listing, which S3 and Ceph have stored.
        "--etag-hash",
        "",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(address.split(":"), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def make_tree(folder: Path, count: int, size: int) -> None:
    """Files of random bytes, 200 in a folder."""
    for number in range(count):
        place = folder / f"d{number // 200}"
        place.mkdir(parents=True, exist_ok=True)
        with (place / f"f{number}").open("wb") as file:
            for start in range(0, size, 1 << 24):
                file.write(os.urandom(min(1 << 24, size - start)))


def measure(command: list[str], home: Path, **env: str) -> Result:
    """Run a command to its end."""
    environ = {**os.environ, **KEYS, "HOME": str(home), **env}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody's interpreter compiles each time
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(
            f"{command[0]} has ended with {process.returncode}: {told.decode()[-500:]}"
        )
    return Result(
        time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    )


def build_commands(peers: Path, url: str, tree: Path, name: str) -> dict[str, list[str]]:
    """Each tool's command for a tree."""
    remote = f":s3,provider=Other,access_key_id=bench,secret_access_key=benchbench,endpoint='{url}':bucket"
    return {
        "ours": [CAPSULE, "upload", str(tree), "s3://bucket/ours", "--asset-name", name],
        "awscli": [str(peers / "aws"), "--endpoint-url", url, "s3", "cp", "--quiet", "--recursive", str(tree), f"s3://bucket/aws/{name}"],
        "rclone": [str(peers / "rclone"), "copy", str(tree), f"{remote}/rclone/{name}"],
    }  # fmt: skip


def bench_tree(peers: Path, tree: Path, name: str, count: int, size: int) -> None:
    """All tools on one kind of tree, in turn."""
    results: dict[str, list[Result]] = {"ours": [], "awscli": [], "rclone": [], "again": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with open_server(str(peers / "rclone"), root / "server") as url:
            for number in range(REPEATS):
                commands = build_commands(peers, url, tree, f"{name}{number}")
                for tool, command in commands.items():
                    results[tool].append(measure(command, root, CAPSULE_S3__ENDPOINT_URL=url))
                results["again"].append(
                    measure(commands["ours"], root, CAPSULE_S3__ENDPOINT_URL=url)
                )
                for place in ("ours", "aws", "rclone"):
                    shutil.rmtree(root / "server" / "bucket" / place)
    best = {tool: min(runs, key=lambda run: run.took_s) for tool, runs in results.items()}
    cpu = {tool: statistics.median(run.cpu_s for run in runs) for tool, runs in results.items()}
    peak = {tool: max(run.peak_mb for run in runs) for tool, runs in results.items()}
    print(f"s3 {name}: {count:,} of {size:,} bytes")
    for tool in ("ours", "awscli", "rclone", "again"):
        print(f"   {tool:<7} {best[tool].took_s:>7.2f} s  {count / best[tool].took_s:>8,.0f} files/s  "
              f"{count * size / best[tool].took_s / 1e6:>7.1f} MB/s  {cpu[tool] / count * 1e3:>9.2f} ms CPU a file  peak {peak[tool]:>4.0f} MB")  # fmt: skip
    quicker = min(best["awscli"].took_s, best["rclone"].took_s)
    print(f"   ours / awscli: rate {best['awscli'].took_s / best['ours'].took_s:.2f} (goal 1.2 on small), CPU a file {cpu['ours'] / cpu['awscli']:.2f} (goal 0.5 on small); "
          f"ours / the quicker of the two: rate {quicker / best['ours'].took_s:.2f} (goal 1 on medium and large)")  # fmt: skip
    print(f"   again: {best['ours'].took_s / best['again'].took_s:.1f} times as quick as the first (goal 5); peak {peak['ours']:.0f} MB (goal below 300)", flush=True)  # fmt: skip


def main() -> None:
    """Run all."""
    peers = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        # All of them first: results are rarely uploaded twice within a minute of their making.
        for name, count, size in TREES:
            make_tree(Path(folder, name), count, size)
        for name, count, size in TREES:
            bench_tree(peers, Path(folder, name), name, count, size)


if __name__ == "__main__":
    main()
