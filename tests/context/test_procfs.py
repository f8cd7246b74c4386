"""Processes as /proc shows them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.context.procfs import (
    Stat,
    find_ancestors,
    find_by_variable,
    find_children,
    find_descendants,
    find_group_members,
    parse_stat,
    read_command_line,
    read_parent_pid,
    read_processes,
    read_stat,
)
from tests.conftest import wait_until
from tests.context.trees import write_process

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")


@given(
    name=st.binary(max_size=64),
    state=st.sampled_from("RSDZTtXI"),
    parent=st.integers(0, 1 << 22),
    group=st.integers(-1, 1 << 22),
)
def test_stat_is_read_whatever_the_name(name: bytes, state: str, parent: int, group: int) -> None:
    """Parentheses, spaces, newlines and numbers in a process's name change nothing."""
    text = b"7 (%b) %b %d %d 5 0 -1 4194304 101\n" % (name, state.encode(), parent, group)
    assert parse_stat(text) == Stat(state, parent, group)


@given(text=st.binary(max_size=200))
def test_garbage_stat_is_unknown(text: bytes) -> None:
    """Whatever stands there, the answer is a value or None, never an exception."""
    stat = parse_stat(text)
    assert stat is None or (isinstance(stat.parent, int) and b")" in text)


@pytest.mark.parametrize(
    "text",
    [b"", b")", b"7 (x", b"7 (x) S", b"7 (x) S one 1", b"7 x S 1 1", b"7 (x) S " + b"9" * 5000],
)
def test_incomplete_stat_is_unknown(text: bytes) -> None:
    """A torn line, words for numbers, numbers beyond reading: unknown."""
    assert parse_stat(text) is None


def test_one_process(tmp_path: Path) -> None:
    """State, parent and arguments are read; empty arguments are arguments."""
    write_process(tmp_path, 7, 3, state="T", command=["bash", "", "a b", ""])
    assert (stat := read_stat(7, tmp_path)) is not None and stat.state == "T"
    assert read_parent_pid(7, tmp_path) == 3
    assert read_command_line(7, tmp_path) == ["bash", "", "a b", ""]


def test_command_line_without_its_last_nul(tmp_path: Path) -> None:
    """A program that wrote its own title keeps its last word, and bytes that are no UTF-8."""
    write_process(tmp_path, 7, 3)
    (tmp_path / "7" / "cmdline").write_bytes(b"worker\0of \xff")
    assert read_command_line(7, tmp_path) == ["worker", os.fsdecode(b"of \xff")]


def test_ancestors_end_with_process_1(tmp_path: Path) -> None:
    """Process 1 is the last, also where its parent is 0 (a namespace)."""
    for pid, parent in ((1, 0), (5, 1), (9, 5)):
        write_process(tmp_path, pid, parent)
    assert list(find_ancestors(9, tmp_path)) == [5, 1]
    assert list(find_ancestors(1, tmp_path)) == []


def test_ancestors_of_a_circle_end(tmp_path: Path) -> None:
    """Numbers that were given out anew during the look never make an endless walk."""
    for pid, parent in ((5, 7), (7, 8), (8, 5)):
        write_process(tmp_path, pid, parent)
    assert list(find_ancestors(5, tmp_path)) == [7, 8]


def test_children_by_the_kernels_list(tmp_path: Path) -> None:
    """The lists of all threads count."""
    write_process(tmp_path, 5, 1)
    for thread, children in ((5, "6 7 "), (50, "8 ")):
        (tmp_path / "5" / "task" / str(thread)).mkdir(parents=True)
        (tmp_path / "5" / "task" / str(thread) / "children").write_text(children)
    assert sorted(find_children(5, tmp_path)) == [6, 7, 8]


@pytest.mark.parametrize("has_threads", [False, True])
def test_children_by_a_look_at_all(tmp_path: Path, has_threads: bool) -> None:
    """A kernel without the lists: the children are found by their parent."""
    for pid, parent in ((5, 1), (6, 5), (7, 6), (8, 5)):
        write_process(tmp_path, pid, parent)
    if has_threads:
        (tmp_path / "5" / "task" / "5").mkdir(parents=True)
    (tmp_path / "meminfo").write_text("not a process")
    assert sorted(find_children(5, tmp_path)) == [6, 8]


def test_garbage_in_the_kernels_list_is_not_believed(tmp_path: Path) -> None:
    """A list that cannot be read: the children are found by their parent."""
    for pid, parent in ((5, 1), (6, 5)):
        write_process(tmp_path, pid, parent)
    (tmp_path / "5" / "task" / "5").mkdir(parents=True)
    (tmp_path / "5" / "task" / "5" / "children").write_text("six")
    assert find_children(5, tmp_path) == [6]


def test_descendants_without_the_excluded(tmp_path: Path) -> None:
    """An excluded process and all that is below it stay out."""
    for pid, parent in ((1, 0), (5, 1), (6, 5), (7, 6), (8, 5), (9, 8), (10, 1)):
        write_process(tmp_path, pid, parent)
    assert sorted(find_descendants(5, (), tmp_path)) == [6, 7, 8, 9]
    assert sorted(find_descendants(5, (8,), tmp_path)) == [6, 7]


@given(parents=st.dictionaries(st.integers(1, 8), st.integers(0, 8)), start=st.integers(1, 8))
def test_descendants_of_any_tangle(
    parents: dict[int, int], start: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However the parents are tangled, each process whose walk up meets the start is found once."""
    proc = tmp_path_factory.mktemp("proc")
    for pid, parent in parents.items():
        write_process(proc, pid, parent)
    found = find_descendants(start, (), proc)
    expected = {pid for pid in parents if pid != start and start in list(find_ancestors(pid, proc))}
    assert sorted(found) == sorted(expected)


def test_group_members(tmp_path: Path) -> None:
    """The members of a group are found wherever they hang."""
    for pid, parent, group in ((5, 1, 5), (6, 5, 5), (7, 1, 5), (8, 5, 8)):
        write_process(tmp_path, pid, parent, group=group)
    assert sorted(find_group_members(5, tmp_path)) == [5, 6, 7]


def test_without_proc_all_is_unknown(tmp_path: Path) -> None:
    """On a system without /proc every answer is empty."""
    nowhere = tmp_path / "proc"
    assert read_parent_pid(1, nowhere) is None
    assert read_stat(1, nowhere) is None
    assert read_command_line(1, nowhere) == []
    assert list(find_ancestors(1, nowhere)) == []
    assert find_children(1, nowhere) == []
    assert find_descendants(1, (), nowhere) == []
    assert find_group_members(1, nowhere) == []


@needs_linux
def test_a_real_tree() -> None:
    """Parent, children, descendants, group, name with a parenthesis and arguments of real ones."""
    script = (
        "import ctypes, subprocess, sys, threading\n"
        "ctypes.CDLL(None).prctl(15, b'a) Z 1\\n(b', 0, 0, 0)\n"
        "run = lambda: print(subprocess.Popen(['sleep', '1000']).pid, flush=True)\n"
        "thread = threading.Thread(target=lambda: (run(), sys.stdin.read()))\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    command = [sys.executable, "-c", script, "", "x y"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            sleeper = int(process.stdout.readline())
            assert read_parent_pid(process.pid) == os.getpid()
            assert (stat := read_stat(process.pid)) is not None and stat.is_alive
            assert read_command_line(process.pid) == command
            assert find_children(process.pid) == [sleeper]
            assert process.pid in find_children(os.getpid())
            assert {process.pid, sleeper} <= set(find_descendants(os.getpid(), ()))
            assert sleeper not in find_descendants(os.getpid(), (process.pid,))
            assert sorted(find_group_members(process.pid)) == sorted([process.pid, sleeper])
            assert list(find_ancestors(sleeper))[:2] == [process.pid, os.getpid()]
            assert list(find_ancestors(sleeper))[-1] == 1
        finally:
            os.killpg(process.pid, 9)
        wait_until(lambda: (stat := read_stat(process.pid)) is not None and not stat.is_alive)
        assert read_command_line(process.pid) == []


@needs_linux
def test_processes_by_a_variable() -> None:
    """A process is known by a whole variable that it was started with."""
    environ = {"AIND_TEST_MARK": "run-1", "OTHER": "x AIND_TEST_MARK=run"}
    with subprocess.Popen(["sleep", "1000"], env=environ) as process:
        try:
            wait_until(lambda: read_command_line(process.pid) == ["sleep", "1000"])
            assert list(find_by_variable("AIND_TEST_MARK=run-1")) == [process.pid]
            assert list(find_by_variable("AIND_TEST_MARK=run")) == []
            stat = read_processes()[process.pid]
            assert (stat.parent, stat.is_alive) == (os.getpid(), True)
            assert stat.started >= read_processes()[os.getpid()].started > 0
        finally:
            process.kill()
