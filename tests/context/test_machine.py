"""The machine: what a program may use of it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.context.cgroup import Cgroup, find_cgroup
from aind_capsule.context.machine import parse_amount, read_machine
from tests.conftest import build_environ
from tests.context.trees import write_tree

GIB = 1 << 30
MEMINFO = "MemTotal:       16777216 kB\nMemFree:         1000000 kB\n"
CPUINFO = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2.50GHz\nflags\t: fpu\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 16 GiB."""
    return write_tree(tmp_path / "proc", {"meminfo": MEMINFO, "cpuinfo": CPUINFO})


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4", 4.0),
        ("4.0", 4.0),
        (" 0.5\n", 0.5),
        ("1e3", 1000.0),
        ("17179869184", 17179869184.0),
        ("", None),
        (" ", None),
        ("abc", None),
        ("4 cores", None),
        ("16GB", None),
        ("0", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e400", None),
        ("9" * 5000, None),
        ("null", None),
        ("\udcff", None),
        (None, None),
    ],
)
def test_amounts(text: str | None, amount: float | None) -> None:
    """A positive number as platforms write it, or None."""
    assert parse_amount(text) == amount


@given(text=st.text(max_size=30))
def test_garbage_amount_never_raises(text: str) -> None:
    """Whatever a variable holds, it is None or a finite positive number."""
    amount = parse_amount(text)
    assert amount is None or (math.isfinite(amount) and amount > 0)


@given(number=st.floats(1e-6, 1e17))
def test_positive_numbers_are_taken(number: float) -> None:
    """A positive number is that number."""
    assert parse_amount(repr(number)) == number


@given(cpus=st.text(max_size=20), memory=st.text(max_size=20))
def test_a_machine_with_garbage_variables(cpus: str, memory: str) -> None:
    """Garbage in CO_CPUS and CO_MEMORY: a usable core is left, and the result is plain JSON."""
    machine = read_machine({"CO_CPUS": cpus, "CO_MEMORY": memory}, Cgroup(), "/nonexistent")
    assert machine.usable_cores >= 1
    assert machine.usable_memory_bytes is None or machine.usable_memory_bytes >= 1
    json.dumps(machine.describe(), allow_nan=False)


def test_what_is_read(proc: Path) -> None:
    """Model and memory of the machine."""
    machine = read_machine({}, Cgroup(), proc)
    assert machine.cpu_model == "Some CPU @ 2.50GHz"
    assert machine.memory_total_bytes == machine.usable_memory_bytes == 16 * GIB
    assert machine.cores_total == os.cpu_count()


@pytest.mark.parametrize(
    ("group_gib", "promised_gib", "usable_gib"),
    [(4, None, 4), (None, 2, 2), (4, 2, 2), (2, 4, 2), (64, 64, 16), (None, None, 16)],
)
def test_usable_memory_is_the_smallest(
    proc: Path,
    tmp_path: Path,
    group_gib: int | None,
    promised_gib: int | None,
    usable_gib: int,
) -> None:
    """Machine, container and promise: the smallest of what is known."""
    limit = "max" if group_gib is None else str(group_gib * GIB)
    group = write_tree(tmp_path / "group", {"memory.max": limit})
    environ = {} if promised_gib is None else {"CO_MEMORY": str(promised_gib * GIB)}
    machine = read_machine(environ, Cgroup(unified=(str(group),)), proc)
    assert machine.usable_memory_bytes == usable_gib * GIB
    assert machine.memory_limit_bytes == (None if group_gib is None else group_gib * GIB)


@pytest.mark.parametrize(
    ("quota", "promised"), [("100000 100000", "64"), ("50000 100000", ""), ("max 100000", "0.25")]
)
def test_usable_cores_are_the_smallest_and_one_at_least(
    tmp_path: Path, quota: str, promised: str
) -> None:
    """A quota or a promise of one core or less: one core, whatever the machine has."""
    group = write_tree(tmp_path / "group", {"cpu.max": quota})
    machine = read_machine({"CO_CPUS": promised}, Cgroup(unified=(str(group),)), tmp_path)
    assert machine.usable_cores == 1


def test_promises_larger_than_the_machine_are_not_believed(tmp_path: Path) -> None:
    """CO_CPUS is exported by a script: what the machine really gives may be less."""
    machine = read_machine({"CO_CPUS": "100000"}, Cgroup(), tmp_path)
    assert machine.co_cpus == 100000
    assert machine.usable_cores <= (os.cpu_count() or 1)


def test_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    """Nothing unknown is described, neither as null nor as an empty text."""
    environ = {"CO_CPUS": "many", "CO_MEMORY": "0.5"}
    described = read_machine(environ, Cgroup(), tmp_path / "none").describe()
    assert described["usable_cores"] >= 1
    assert not {"cpu_model", "memory_total_bytes", "co_cpus", "co_memory_bytes"} & described.keys()
    assert None not in described.values()


@pytest.mark.parametrize(
    "meminfo",
    ["", "MemTotal:", "MemTotal: many kB", "MemFree: 5 kB", "MemTotal: " + "9" * 5000, "\x00\xff"],
)
def test_garbage_meminfo_is_unknown(tmp_path: Path, meminfo: str) -> None:
    """A file that is not as it should be says nothing."""
    write_tree(tmp_path, {"meminfo": meminfo, "cpuinfo": "model name\t:\n: :\n\n"})
    machine = read_machine({}, Cgroup(), tmp_path)
    assert (machine.memory_total_bytes, machine.cpu_model) == (None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_the_real_machine() -> None:
    """This machine has memory and cores, and uses no more than it has."""
    machine = read_machine({}, find_cgroup())
    assert machine.memory_total_bytes is not None
    assert machine.usable_memory_bytes is not None
    assert 1 << 20 < machine.usable_memory_bytes <= machine.memory_total_bytes
    assert machine.cores_total is not None
    assert 1 <= machine.usable_cores <= machine.cores_total


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux")
def test_the_affinity_counts(tmp_path: Path) -> None:
    """A process that may run on one core only is told one."""
    script = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from aind_capsule.context.cgroup import Cgroup\n"
        "from aind_capsule.context.machine import read_machine\n"
        "machine = read_machine({'CO_CPUS': '8'}, Cgroup())\n"
        "print(machine.cores_allowed, machine.usable_cores)\n"
    )
    command = [sys.executable, "-c", script]
    told = subprocess.check_output(command, env=build_environ(tmp_path), text=True)
    assert told.split() == ["1", "1"]
