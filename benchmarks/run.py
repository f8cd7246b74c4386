"""Speed as ratios against others in the same run: `make bench` (see README.md beside this file)."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

LINES = int(os.environ.get("BENCH_LINES", "2000000"))
CALLS = int(os.environ.get("BENCH_CALLS", "100000"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
CAPSULE = str(Path(sys.executable).with_name("capsule"))

PRINT_LINES = """
import sys
count = int(sys.argv[1])
text = b"".join(b"line %08d of the processing, a hundred bytes long, as many programs print them while they are at work\\n" % n for n in range(10000))
for _ in range(count // 10000):
    sys.stdout.buffer.write(text)
"""

#: Known secrets of the environment: the log is searched for each in all its forms.
SECRETS = {f"LAB_{n}_TOKEN": f"tok-{n:02d}-{(n + 7) ** 9:x}-secret" for n in range(20)}

NAIVE = """
import subprocess, sys
from loguru import logger
logger.remove()
logger.add(sys.argv[1], serialize=True)
proc = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, text=True)
for line in proc.stdout:
    logger.info(line)
"""

LOG_CALLS = """
import logging, os, sys, time
from loguru import logger
kind, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
who, _, what = kind.partition(" ")
if who == "ours":
    os.environ.setdefault("CAPSULE_SCRATCH", folder)
    os.environ["CAPSULE_CONSOLE__MODE"] = "pretty" if what in ("default", "stdlib") else "off"
    from aind_capsule import configure_logging
    configure_logging("bench", subject_id="123456", pipeline_name="pipeline", rig_id="frg_1_a")
else:
    if what in ("file", "nothing"):
        logger.remove()  # else loguru's own sink on stderr stays
    if what == "nothing":
        logger.add(lambda message: None, format=lambda record: "", backtrace=False, diagnose=False)
    else:
        logger.add(folder + "/serialize.log", serialize=True)
    logger.configure(extra={"subject_id": "123456", "pipeline_name": "pipeline", "rig_id": "frg_1_a"})

class InterceptHandler(logging.Handler):  # loguru's own recipe, as short as it can be
    def emit(self, record):
        frame, depth = logging.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame = frame.f_back
            depth += 1
        logger.opt(depth=depth, exception=record.exc_info).log(record.levelname, record.getMessage())

if what == "stdlib":
    if who == "loguru":
        logging.basicConfig(handlers=[InterceptHandler()], level=0, force=True)
    log = logging.getLogger("bench")
    def call(n): log.info("message %d of the processing", n)
else:
    def call(n): logger.info("message {} of the processing", n)
for name in ("a", "b"):  # the first round warms up
    start = time.process_time()
    for n in range(count):
        call(n)
    took = time.process_time() - start
print(count / took)
"""


def pin(core: int) -> list[str]:
    """Words before a command that pin it to one core, where there are two."""
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 else []


def measure(command: list[str], **more: object) -> tuple[float, float]:
    """Wall seconds, and the peak memory in MB of the largest process of this one command."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, **more)  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return took, used.ru_maxrss / 1024


def measure_first_instruction(command: list[str], **more: object) -> float:
    """Seconds from a command's start to the first instruction of a shell that it runs."""
    start = time.time()
    done = subprocess.run([*command, "bash", "-c", "echo $EPOCHREALTIME"], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, **more)  # fmt: skip
    return float(done.stdout) - start


def bench_capture(folder: Path) -> None:
    """Captured lines a second, ours against a plain loop."""
    printer = [*pin(1), sys.executable, "-c", PRINT_LINES]
    for kind in ("data", "results", "scratch"):
        (folder / kind).mkdir()
    rates: dict[str, list[float]] = {"ours": [], "naive": []}
    peak_mb = 0.0
    for repeat in range(3):
        ours = [
            *pin(0),
            CAPSULE,
            "run",
            "--console",
            "off",
            "--run-files",
            "none",
            "--",
            *printer,
            str(LINES),
        ]
        took, peak_mb = measure(ours, cwd=folder, env={**os.environ, **SECRETS})
        rates["ours"].append(LINES / took)
        for log in (folder / "scratch").rglob("*.jsonl"):
            log.unlink()
        few = LINES // 10
        log = folder / f"naive-{repeat}.log"
        took, _ = measure([*pin(0), sys.executable, "-c", NAIVE, str(log), *printer, str(few)])
        rates["naive"].append(few / took)
        log.unlink()
    ours_rate, naive_rate = (statistics.median(rates[name]) for name in ("ours", "naive"))
    print(f"capture    ours {ours_rate:>10,.0f} lines/s   naive {naive_rate:>9,.0f} lines/s   "
          f"ratio {ours_rate / naive_rate:5.1f} (goal 20)   peak {peak_mb:.0f} MB (goal < 50)")  # fmt: skip


def bench_start(folder: Path) -> None:
    """What a run costs before its processing begins, and as a whole, against `import loguru`."""
    (folder / "results").mkdir(exist_ok=True)  # without results there is no record of them
    ours = [*pin(0), CAPSULE, "run", "--console", "off"]
    plain = [*pin(0), sys.executable, "-c"]
    commands = {
        "loguru": [*plain, "import loguru"],
        "few files": [*ours, "--run-files", "log,run", "--", "true"],
        "whole": [*ours, "--", "true"],
        "schema": [*plain, "import aind_data_schema.core.processing"],
    }
    times: dict[str, list[float]] = {name: [] for name in (*commands, "first", "bare")}
    for _ in range(max(REPEATS * 3, 5)):
        for name, command in commands.items():
            times[name].append(measure(command, cwd=folder)[0])
        times["first"].append(measure_first_instruction([*ours, "--"], cwd=folder))
        times["bare"].append(measure_first_instruction(pin(0), cwd=folder))
    loguru_s = statistics.median(times["loguru"])
    first_s = statistics.median(times["first"]) - statistics.median(times["bare"])
    print(f"start      the processing begins after {first_s * 1000:.0f} ms        "
          f"import loguru {loguru_s * 1000:.0f} ms        ratio {first_s / loguru_s:5.2f} (goal at most 1.2)")  # fmt: skip
    for name, what in (("few files", "with log and run.json"), ("whole", "with all extras")):
        whole_s = statistics.median(times[name])
        print(f"whole      capsule run -- true {what}: {whole_s * 1000:.0f} ms        "
              f"of import loguru {whole_s / loguru_s:5.2f}")  # fmt: skip
    print(f"           of which aind_data_schema, imported after the processing: "
          f"{statistics.median(times['schema']) * 1000:.0f} ms")  # fmt: skip


def bench_guard(folder: Path) -> None:
    """What the guard line asks before each script, against a bare Python and our smallest command."""
    commands = {
        "guard": f'{CAPSULE} guard $$ "$0" "$@"',
        "python": f"{sys.executable} -c pass",
        "version": f"{CAPSULE} --version",
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for name, command in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{command}\n: capsule guard\n")
    for _ in range(max(REPEATS * 6, 10)):
        for name, values in times.items():
            values.append(measure([*pin(0), "sh", name, "--rate", "30"], cwd=folder)[0])
    guard, python, version = (statistics.median(values) for values in times.values())
    print(f"guard      ours {guard * 1000:>10.0f} ms        python -c pass {python * 1000:.0f} ms (ratio {guard / python:.2f}, "
          f"{(guard - python) * 1000:.0f} ms more, goal < 30)   capsule --version {version * 1000:.0f} ms (ratio {guard / version:.2f})")  # fmt: skip


#: Name of the row; who logs, and against whom; the goal.
LOG_ROWS = (
    ("file and console", "ours default", "loguru default", "goal 2.0"),
    ("file", "ours file", "loguru file", "goal 2.0"),
    ("stdlib's logging, file and console", "ours stdlib", "loguru stdlib", "no goal"),
    ("in a wrapped run, by the socket", "ours socket", "loguru file", "no goal"),
    ("file, against a sink that does nothing", "ours file", "loguru nothing", "goal 0.6"),
)


def bench_log_calls(folder: Path) -> None:
    """A log call's cost with our set-ups, with loguru's own, and with a sink that does nothing."""
    kinds = dict.fromkeys(kind for row in LOG_ROWS for kind in row[1:3])
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    plain: dict[str, list[float]] = {"ours default": [], "loguru default": []}
    for _ in range(REPEATS):
        for kind, values in rates.items():
            values.append(measure_log_calls(folder, kind, SECRETS))
        for kind, values in plain.items():
            values.append(measure_log_calls(folder, kind, {}))
    for name, ours, other, goal in LOG_ROWS:
        print_log_row(name, rates[ours], rates[other], goal)
    print_log_row("file and console, no known secrets", *plain.values(), "no goal")


def measure_log_calls(folder: Path, kind: str, secrets: Mapping[str, str]) -> float:
    """Log calls a second of one kind; stderr is a file."""
    wrapper = [*pin(1), CAPSULE, "run", "--console", "off", "--"] if "socket" in kind else []
    command = [*wrapper, *pin(0), sys.executable, "-c", LOG_CALLS, kind, str(folder), str(CALLS)]
    with open(folder / "stderr", "wb") as stderr:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=stderr,
                              text=True, check=True, env={**os.environ, **secrets})  # fmt: skip
    for log in (*folder.rglob("*.log.jsonl"), folder / "serialize.log"):
        log.unlink(missing_ok=True)
    return float(done.stdout)


def print_log_row(name: str, ours: list[float], other: list[float], goal: str) -> None:
    """Print one row."""
    ours_rate, other_rate = statistics.median(ours), statistics.median(other)
    print(f"log call   {name}: ours {ours_rate:,.0f} /s   loguru {other_rate:,.0f} /s   "
          f"ratio {ours_rate / other_rate:.2f} ({goal})")  # fmt: skip


def bench_collect(folder: Path) -> None:
    """The time that `processing.json` of a fan-out of 1,000 takes."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.provenance.pipelines import write_fan_out

    write_fan_out(folder, 1000)
    command = [*pin(0), CAPSULE, "provenance", "collect", "work", "--output", "."]
    took = statistics.median(measure(command, cwd=folder)[0] for _ in range(3))
    print(f"collect    1,002 runs from their task folders: {took:.1f} s (goal < 30)")


def main() -> None:
    """Run all, in a temporary folder."""
    print(
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; {LINES:,} lines, {CALLS:,} calls"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench_capture(folder)
        bench_start(folder)
        bench_guard(folder)
        bench_log_calls(folder)
        bench_collect(folder)


if __name__ == "__main__":
    main()
