"""Delivery to Loki against what PyPI has: `make bench` (see README.md beside this file).

The peers' programs log through the standard library, which is what they are for; ours through
loguru under `capsule run`, or by printing lines. All talk to the same server, `loki_server.py`.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

RECORDS = int(os.environ.get("BENCH_LOKI_RECORDS", "200000"))
WAITING = int(os.environ.get("BENCH_LOKI_WAITING", "5000000"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
CAPSULE = str(Path(sys.executable).with_name("capsule"))
HERE = Path(__file__).parent
#: Log calls a second, for the peer that bears no burst.
PACES = (5_000, 10_000, 15_000, 20_000)

SET_UP = {
    "ours": """
from loguru import logger
from aind_capsule import configure_logging
configure_logging("bench")
log = logger.info
""",
    "printed": "def log(text): print(text)",
    "loki-logger-handler": """
import logging
from loki_logger_handler.loki_logger_handler import LokiLoggerHandler
logger = logging.getLogger("bench")
logger.setLevel(logging.INFO)
logger.addHandler(LokiLoggerHandler(url=url, labels={"process_name": "bench"}, timeout=1))
log = logger.info
""",
    "python-logging-loki": """
import logging, logging_loki
logger = logging.getLogger("bench")
logger.setLevel(logging.INFO)
logger.addHandler(logging_loki.LokiHandler(url=url, tags={"process_name": "bench"}, version="1"))
log = logger.info
""",
}

#: Logs `count` messages, at most `pace` a second, and tells by a file how long the calls took. Then
#: it waits until its standard input ends, so that a peer's thread can deliver what it still holds.
PROGRAM = """
import json, sys, time
url, out, count, pace = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
{set_up}
clock, longest, blocked = time.perf_counter, 0.0, 0.0
began, start = time.time(), clock()
for n in range(count):
    if pace and n % 20 == 0:
        time.sleep(max(0.0, n / pace - (clock() - start)))
    before = clock()
    log("message %08d of the processing" % n)
    took = clock() - before
    blocked += took
    if took > longest:
        longest = took
with open(out, "w") as file:
    json.dump({{"began": began, "blocked_s": blocked, "longest_s": longest}}, file)
sys.stdin.read()
"""

#: Works and logs, and tells how long it took.
WORK = """
import sys, time
start = time.perf_counter()
for n in range(12000):
    sum(i * i for i in range(6000))
    print("message %08d of the processing" % n)
print(time.perf_counter() - start, file=open(sys.argv[1], "w"))
"""


@dataclass
class Result:
    """What became of the messages of one program.

    Attributes:
        delivered: Different messages that arrived.
        rate: Of them a second, from the first log call to the last arrival.
        blocked_us: Microseconds of a log call.
        longest_ms: Milliseconds of the longest one.
    """

    delivered: int
    rate: float
    blocked_us: float
    longest_ms: float


class Double:
    """The server, in its process."""

    def __init__(self, delay_s: float, *, has_limits: bool = True) -> None:
        words = [str(delay_s), "limits" if has_limits else "none"]
        self._process = subprocess.Popen([sys.executable, str(HERE / "loki_server.py"), *words],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        self.url = f"http://127.0.0.1:{self._read()}"

    def tell(self, word: str) -> None:
        """Have it do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def ask(self, word: str) -> dict | int:
        """Have it answer."""
        self.tell(word)
        return json.loads(self._read())

    def wait_until_quiet(self, quiet_s: float) -> None:
        """Wait until nothing has come for so long."""
        size, since = -1, time.monotonic()
        while time.monotonic() - since < quiet_s:
            time.sleep(0.1)
            if (now := self.ask("size")) != size:
                size, since = now, time.monotonic()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def open_double(delay_s: float = 0.0, *, has_limits: bool = True) -> Iterator[Double]:
    """A server while it is needed."""
    double = Double(delay_s, has_limits=has_limits)
    try:
        yield double
    finally:
        double.close()


@contextmanager
def open_silent() -> Iterator[str]:
    """A port as of a host that is not there: its queue is full, and the kernel drops what comes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def open_capsule() -> Iterator[Path]:
    """A capsule's folders."""
    with tempfile.TemporaryDirectory() as name:
        for kind in ("code", "data", "results", "scratch"):
            (Path(name) / kind).mkdir()
        yield Path(name) / "code"


def build_environ(url: str, **more: str) -> dict[str, str]:
    """The environment of a run that is delivered."""
    return {**os.environ, "CAPSULE_CONSOLE__MODE": "off", "CAPSULE_RUN_FILES": "none", "CAPSULE_LOKI__URL": url, **more}  # fmt: skip


def start_program(
    sender: str, url: str, folder: Path, count: int, pace: float
) -> subprocess.Popen[bytes]:
    """Start a program that logs."""
    program = PROGRAM.format(set_up=SET_UP[sender])
    push_url = f"{url}/loki/api/v1/push"
    command = [sys.executable, "-c", program, push_url, "told.json", str(count), str(pace)]
    if sender in ("ours", "printed"):
        command = [CAPSULE, "run", "--", *command]
    return subprocess.Popen(command, cwd=folder, env=build_environ(url), stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip


def end_program(process: subprocess.Popen[bytes], limit_s: float) -> None:
    """Let a program end; what does not end by itself is killed."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def measure_rate(sender: str, double: Double, count: int, pace: float = 0) -> Result:
    """Have a program log, stay until its last message arrived, and end."""
    with open_capsule() as folder:
        process = start_program(sender, double.url, folder, count, pace)
        told = folder / "told.json"
        while not told.exists() or not told.read_text():
            if process.poll() is not None:
                raise RuntimeError(f"{sender} has ended with {process.returncode}")
            time.sleep(0.02)
        if sender.endswith("-handler"):
            double.wait_until_quiet(4)
        end_program(process, 60)
        data = json.loads(told.read_text())
    found = double.ask("count")
    assert isinstance(found, dict)
    took_s = max(found["last"] - data["began"], 1e-9)
    rate = found["different"] / took_s if found["different"] else 0.0
    return Result(int(found["different"]), rate, data["blocked_s"] / count * 1e6, data["longest_s"] * 1e3)  # fmt: skip


def measure_loss(sender: str) -> tuple[int, int]:
    """Messages, and those that arrived, with the server down from 5 s before the exit to 5 s after."""
    count, pace = 800, 100
    with open_double() as double, open_capsule() as folder:
        process = start_program(sender, double.url, folder, count, pace)
        ending = threading.Thread(target=end_program, args=[process, 40])
        ending.start()
        time.sleep(3)
        double.tell("down")
        time.sleep(10)
        double.tell("up")
        ending.join()
        double.wait_until_quiet(2)
        found = double.ask("count")
    assert isinstance(found, dict)
    return count, int(found["different"])


def show(sender: str, delay_ms: int, count: int, result: Result, pace: float = 0) -> None:
    """One row."""
    how = f"{pace:,.0f} calls/s" if pace else "at full speed"
    print(f"loki {delay_ms:>3} ms  {sender:<20} {how:<15} {result.rate:>9,.0f} delivered/s   {result.delivered:>7,} of {count:>7,}   "
          f"a call {result.blocked_us:>9,.1f} us, the longest {result.longest_ms:>6.1f} ms", flush=True)  # fmt: skip


def bench_delivery() -> None:
    """Delivered rate and what a call costs, on a server that answers in 0, 5 and 200 ms."""
    for delay_ms in (0, 5, 200):
        with open_double(delay_ms / 1000) as double:
            best: dict[str, float] = {}
            for sender in ("ours", "printed"):
                result = measure_rate(sender, double, RECORDS)
                show(sender, delay_ms, RECORDS, result)
                best[sender] = result.rate
            few = 50 if delay_ms > 50 else 2000
            result = measure_rate("python-logging-loki", double, few)
            show("python-logging-loki", delay_ms, few, result)
            best["python-logging-loki"] = result.rate
            peer = "loki-logger-handler"
            show(peer, delay_ms, RECORDS, measure_rate(peer, double, RECORDS))
            best[peer] = 0.0
            for pace in PACES:
                count = pace * 5
                result = measure_rate(peer, double, count, pace)
                show(peer, delay_ms, count, result, pace)
                if result.delivered == count:
                    best[peer] = max(best[peer], result.rate)
        with open_double(delay_ms / 1000, has_limits=False) as double:
            unlimited = measure_rate(peer, double, RECORDS)
            show(f"{peer}*", delay_ms, RECORDS, unlimited)
        for sender in ("ours", "printed"):
            ratios = [best[sender] / best[name] for name in ("python-logging-loki", peer)]
            print(f"loki {delay_ms:>3} ms  {sender} / python-logging-loki {ratios[0]:.0f} (goal 20), / {peer} {ratios[1]:.1f} (goal 3), "
                  f"/ {peer}* {best[sender] / unlimited.rate:.1f}   (goals at 5 ms)", flush=True)  # fmt: skip
    print("  * on a server without the limits of a Loki: one request of all its records")


def bench_loss() -> None:
    """What is lost when the server is down around the program's exit."""
    for sender in ("ours", "loki-logger-handler", "python-logging-loki"):
        count, delivered = measure_loss(sender)
        print(f"loki down   {sender:<20} {count - delivered:>4} of {count} lost", flush=True)


def bench_wall_time() -> None:
    """The processing's wall time with a Loki that hangs, refuses, or is not there."""
    with open_double() as hanging, open_double() as refusing, open_silent() as silent:
        hanging.tell("hang")
        refusing.tell("down")
        urls = {"none": "", "hanging": hanging.url, "refusing": refusing.url, "absent": silent}
        times: dict[str, list[float]] = {name: [] for name in urls}
        for _ in range(2 * REPEATS + 1):  # the first round warms up
            for name, url in urls.items():
                with open_capsule() as folder:
                    environ = build_environ(url, CAPSULE_SHIPPING__DEADLINE="0.2")
                    if not url:
                        del environ["CAPSULE_LOKI__URL"]
                    subprocess.run([CAPSULE, "run", "--", sys.executable, "-c", WORK, "took"], cwd=folder, env=environ,
                                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
                    times[name].append(float((folder / "took").read_text()))
    for name in ("hanging", "refusing", "absent"):
        pairs = [a / b for a, b in zip(times[name][1:], times["none"][1:], strict=True)]
        print(f"loki {name:<10} the processing takes {statistics.median(times[name][1:]):.3f} s, "
              f"{statistics.median(times['none'][1:]):.3f} s with none set: "
              f"{(statistics.median(pairs) - 1) * 100:+.1f} % (goal within 3)", flush=True)  # fmt: skip


def measure_peak_mb(count: int) -> float:
    """Peak memory of the largest process of a run whose records wait for a dead server, MB."""
    with open_double() as double, open_capsule() as folder:
        double.tell("down")
        environ = build_environ(double.url, CAPSULE_SHIPPING__DEADLINE="3")
        text = f"for n in range({count}): print('message %08d of the processing' % n)"
        process = subprocess.Popen([CAPSULE, "run", "--", sys.executable, "-c", text], cwd=folder, env=environ,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        # The kernel's peak of the largest of its descendants, and its own.
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        return usage.ru_maxrss / 1024


def bench_memory() -> None:
    """Memory while records wait for a dead server."""
    few, many = measure_peak_mb(50_000), measure_peak_mb(WAITING)
    print(f"loki memory  peak {few:.1f} MB with 50,000 records waiting, {many:.1f} MB with {WAITING:,}: "
          f"{many - few:+.1f} MB (goal within 30)", flush=True)  # fmt: skip


def main() -> None:
    """Run all."""
    bench_delivery()
    bench_loss()
    bench_wall_time()
    bench_memory()


if __name__ == "__main__":
    main()
