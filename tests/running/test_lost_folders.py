"""What the processing does to scratch and to the log costs nothing, or is counted and said."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.history.runs import find_runs
from tests.conftest import (
    RUN_FILES,
    Capsule,
    Finished,
    check_log_is_sound,
    parse_strictly,
    wait_until,
)
from tests.running.test_files import _build_task, _build_task_environ

PY = sys.executable
OPTIONS = ("--session", "--resources", "1s")
LOG = "../scratch/.capsule/*/*.log.jsonl"
#: The log has all of it before anything is done.
FILLED = f"seq 50; until grep -q '\"50\"' {LOG}; do :; done; log=$(echo {LOG}); "
#: Every place for the run's folder but scratch is taken.
TAKEN = (
    "for base in $HOME/.local/state/aind-capsule {$TMPDIR,/tmp,/var/tmp,/dev/shm}/aind-capsule-$(id -u);"
    " do mkdir -p $base; : > $base/$CAPSULE_RUN_ID; done; "
)


def _find_lines(path: Path) -> list[dict]:
    data = path.read_bytes()
    assert b"\0" not in data
    assert data.endswith(b"}\n")
    return [parse_strictly(line) for line in data.splitlines()]


def _check_paths(capsule: Capsule, stderr: bytes) -> None:
    """Every path that was printed after the start's banner exists."""
    text = stderr.decode().partition("log.jsonl\n")[2]
    paths = re.findall(rf"{re.escape(str(capsule.root))}[^\s`:;]*", text)
    assert paths
    assert [path for path in paths if not os.path.exists(path)] == []


def _check_is_kept(capsule: Capsule, run: Finished) -> list[dict]:
    """Published and in a run folder, each file whole, and found by `capsule runs`."""
    (published,) = capsule.results.glob("*.log.jsonl")
    records = _find_lines(published)
    check_log_is_sound(records)
    run_id = records[-1]["run_id"]
    assert records[-1]["status"] == "success"
    assert "lost_records" not in records[-1]
    _check_paths(capsule, run.stderr)
    state = str(capsule.home / ".local" / "state" / "aind-capsule")
    (found,) = find_runs([str(capsule.scratch), state])
    assert (found.run_id, found.status) == (run_id, "success")
    kept = Path(found.log)
    assert kept.name == published.name
    for copy in capsule.results.glob(f"*{run_id}*"):
        assert copy.read_bytes() == (kept.parent / copy.name).read_bytes()
    (told,) = capsule.results.glob("*.run.json")
    assert json.loads(told.read_text())["status"] == "success"
    (session,) = capsule.results.glob("*.log.txt")
    assert "finished" in session.read_text()
    samples = next(capsule.results.glob("*.resources.jsonl")).read_bytes().splitlines()
    assert all(json.loads(sample)["processes"] >= 0 for sample in samples)
    assert samples
    assert run.stderr.count(b"WARNING  ") == 1, run.stderr.decode()
    return records


@pytest.mark.parametrize("script", [
    "rm -rf ../scratch; echo late",
    "mv ../scratch ../old; echo late",
    "seq 3000; rm -rf ../scratch; mkdir ../scratch; echo x > ../scratch/new; sleep 1.3;"
    " grep -q '\"running\"' $HOME/.local/state/aind-capsule/*/*.run.json && echo late",
    "rm ../scratch/.capsule/*/*; echo late",
    pytest.param("echo late; find ../scratch -mindepth 1 -delete", marks=pytest.mark.slow),
    pytest.param("rm -rf ../scratch/.capsule/*/; echo late", marks=pytest.mark.slow),
    pytest.param("mv ../scratch/.capsule/* ../scratch/x; echo late", marks=pytest.mark.slow),
    pytest.param("git init -q ..; (cd ..; git clean -xfdq scratch); echo late", marks=pytest.mark.slow),
    pytest.param(f"{PY} -c 'import shutil, os; shutil.rmtree(\"../scratch\"); os.mkdir(\"../scratch\")';"
                 " echo late; sleep 1.5; seq 3000", marks=pytest.mark.slow),
    pytest.param("rm -rf ../scratch/.capsule/*; mkdir ../scratch/.capsule/$CAPSULE_RUN_ID; sleep 1.5; echo late",
                 marks=pytest.mark.slow),
    pytest.param("rm -rf ../scratch; ln -s /nonexistent ../scratch; echo late", marks=pytest.mark.slow),
])  # fmt: skip
def test_scratch_that_is_emptied_costs_nothing(capsule: Capsule, script: str) -> None:
    """Removed, renamed, made anew, at once, in the middle or last: log, canonical record, run.json, session
    and samples are kept and published; nothing that is said names what is not there."""
    run = capsule.run("bash", "-c", script, options=OPTIONS)
    assert run.status == 0
    records = _check_is_kept(capsule, run)
    late = [record for record in records if record["message"] == "late"]
    assert len(late) == 1
    assert not list(capsule.root.rglob("*.part"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("script", [
    "mount -t tmpfs none ../scratch; echo late",
    pytest.param("umount -l ../scratch; echo late", marks=pytest.mark.slow),
])  # fmt: skip
def test_scratch_that_is_mounted_over_or_unmounted(capsule: Capsule, script: str) -> None:
    """A file system over scratch, or one that is taken away: the log is kept all the same."""
    subprocess.run(["mount", "-t", "tmpfs", "none", capsule.scratch], check=True)
    try:
        run = capsule.run("bash", "-c", script, options=OPTIONS)
        _check_is_kept(capsule, run)
    finally:
        while os.path.ismount(capsule.scratch):
            subprocess.run(["umount", "-l", capsule.scratch], check=True)


def test_in_a_pipeline_task(tmp_path: Path) -> None:
    """A task that empties scratch: the run's log is in the next place, and the last line on stderr is the
    canonical record."""
    task = _build_task(tmp_path, "rm -rf ../scratch; echo done")
    (task / ".command.sh").write_text(f"cd capsule/code\n{PY} -m aind_capsule run -- ./run\n")
    done = subprocess.run(
        ["bash", "-ue", ".command.sh"], cwd=task, env=_build_task_environ(tmp_path), capture_output=True, check=True)  # fmt: skip
    told = parse_strictly(done.stderr.splitlines()[-1])
    assert told["status"] == "success"
    (log,) = tmp_path.rglob("*.log.jsonl")
    records = _find_lines(log)
    check_log_is_sound(records)
    assert not list((task / "capsule" / "results").iterdir())
    assert str(log.parent).encode() in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="mounts")
def test_no_folder_from_the_start(capsule: Capsule) -> None:
    """Where no folder can be written the run goes on, whoever else writes into nothing; all of its records
    are counted as lost."""
    capsule.scratch.rmdir()
    bases = " ".join(
        f"{folder}/aind-capsule-{os.getuid()}" for folder in ("/tmp", "/var/tmp", "/dev/shm")
    )
    script = f'for base in {bases}; do mkdir -p $base && mount -t tmpfs -o ro none $base || exit 99; done; exec flock /dev/null "$@"'
    command = capsule.get_command("echo", "x", options=("--console", "plain"))
    environ = {**capsule.environ, "XDG_STATE_HOME": "/proc/none"}
    environ.pop("TMPDIR", None)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *command], cwd=capsule.code, env=environ, capture_output=True, check=False)  # fmt: skip
    if done.returncode in (1, 99) and not done.stdout:
        pytest.skip("nothing can be mounted here")
    assert (done.returncode, done.stdout) == (0, b"x\n")
    *_, told, last = done.stderr.decode().splitlines()
    assert json.loads(told)["records"] == {"INFO": 2, "ERROR": 1}
    assert json.loads(told)["lost_records"] == {"no_folder": 3}
    assert "kept nowhere" in last
    assert "4 records are lost" in last
    assert not list(capsule.results.iterdir())


@pytest.mark.parametrize("act", [
    ": > $log",
    "truncate -s 3000 $log; seq 30",
    "dd if=/dev/zero of=$log bs=1 count=50 seek=2000 conv=notrunc 2>/dev/null",
    pytest.param("truncate -s 0 $log; sleep 0.1; seq 3000", marks=pytest.mark.slow),
    pytest.param("echo garbage > $log", marks=pytest.mark.slow),
    pytest.param("printf 'XXXX\\nYY' | dd of=$log bs=1 seek=900 conv=notrunc 2>/dev/null", marks=pytest.mark.slow),
    pytest.param("printf '\"}' | dd of=$log bs=1 seek=900 conv=notrunc 2>/dev/null", marks=pytest.mark.slow),
    pytest.param("truncate -s 5000 $log; rm -rf ../scratch; seq 30", marks=pytest.mark.slow),
    pytest.param("seq 40000; sleep 1; truncate -s 6000000 $log; echo x", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_log_that_is_cut_or_written_into_is_told(capsule: Capsule, act: str) -> None:
    """No NULs and no torn line are published; what is gone is counted, and said once; the log still begins
    with the run's first record and ends with its canonical one."""
    run = capsule.run("bash", "-c", f"{FILLED}{act}; echo after")
    (published,) = capsule.results.glob("*.log.jsonl")
    records = _find_lines(published)
    told = records[-1]
    assert records[0]["event_type"] == "stage_start"
    assert told["status"] == "success"
    assert "after" in [record["message"] for record in records]
    seqs = [record["seq"] for record in records]
    assert seqs == sorted(set(seqs))
    lost = told["lost_records"]["damaged_log"]
    assert lost > 0
    assert lost + len(records) == told["seq"] + 1
    assert sum(told["records"].values()) == len(records) - 1
    assert run.stderr.count(b"truncated or overwritten") == 1
    assert f"{lost} record{'s are' if lost > 1 else ' is'} lost".encode() in run.stderr


def test_where_nothing_can_be_kept(capsule: Capsule) -> None:
    """No base is left: results get the log all the same; where they may not, the last line says so, it is
    counted, and the status is the processing's."""
    capsule.environ["TMPDIR"] = str(capsule.root / "tmp")
    run_ids = []
    try:
        for run_files in (RUN_FILES, "none"):
            capsule.scratch.mkdir(exist_ok=True)
            script = f"rm -rf ../scratch; {TAKEN} echo $CAPSULE_RUN_ID; exit 3"
            run = capsule.run(
                "bash", "-c", script, options=(*OPTIONS, "--run-files", run_files, "--console", "plain"))  # fmt: skip
            run_ids.append(run.stdout.decode().strip())
            assert run.status == 3
            logs = list(capsule.root.rglob("*.log.jsonl"))
            last = run.stderr.decode().splitlines()[-1]
            if run_files != "none":
                check_log_is_sound(_find_lines(logs[0]))
                assert "lost_records" not in _find_lines(logs[0])[-1]
                assert len(list(capsule.results.glob("*"))) == 4
                assert str(logs[0]) in run.stderr.decode()
                assert "kept nowhere" not in run.stderr.decode()
                shutil.rmtree(capsule.results)
                capsule.results.mkdir()
            else:
                assert logs == []
                assert last.startswith("capsule: This run's log is kept nowhere")
                assert "4 records are lost" in last
                told = json.loads(run.stderr.decode().splitlines()[-2])
                assert told["lost_records"] == {"no_folder": 3}
    finally:
        for run_id in run_ids:
            for base in ("/tmp", "/var/tmp", "/dev/shm"):
                Path(f"{base}/aind-capsule-{os.getuid()}/{run_id}").unlink(missing_ok=True)


@pytest.mark.parametrize("limit", [1_000_000, 24 * 1024, 12 * 1024])
def test_a_limit_on_the_size_of_files(capsule: Capsule, limit: int) -> None:
    """`ulimit -f`: the log stays below it and ends with its canonical record; what finds no room is counted,
    and said once for each kind."""
    run = capsule.run(
        "bash", "-c", "seq 20000 | cat", options=("--session",),
        # Bytecode that the limit cuts off would break every later start: it is not written.
        env={"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(capsule.root / "bytecode")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert run.status == 0
    assert not list(capsule.root.rglob("writer*.pyc"))
    assert run.stdout.count(b"\n") == 20_000
    (published,) = capsule.results.glob("*.log.jsonl")
    records = _find_lines(published)
    told = records[-1]
    assert told["status"] == "success"
    assert told["lost_records"]["size_cap"] + sum(told["records"].values()) == 20_001
    assert published.stat().st_size <= limit
    complaints = [line for line in run.stderr.splitlines() if b"capsule: " in line]
    assert len(complaints) == (1 if limit > 500_000 else 2), run.stderr
    assert b"ulimit -f" in complaints[0]
    assert all(
        b"lines are not in the session file: File too large" in line for line in complaints[1:]
    )
    _check_paths(capsule, run.stderr)


def test_a_limit_that_takes_no_record(capsule: Capsule) -> None:
    """`ulimit -f 0`: no empty log is published or named; the canonical record is on stderr, and the last line
    says how many records are lost."""
    run = capsule.run(
        "bash", "-c", "seq 40",
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )  # fmt: skip
    assert (run.status, run.stdout.count(b"\n")) == (0, 40)
    assert not list(capsule.results.iterdir())
    *_, told, last = run.stderr.decode().splitlines()
    assert json.loads(told)["status"] == "success"
    assert json.loads(told)["lost_records"] == {"size_cap": 41}
    assert last.startswith("capsule: This run's log is kept nowhere")
    assert "41 records are lost" in last
    assert run.stderr.count(b"log       none") == 1


def test_what_goes_after_the_last_record(capsule: Capsule) -> None:
    """Scratch that is removed while the log is delivered: log and run.json have another place, what is said to
    be pushed is there, and `capsule runs` finds it."""
    options = ("--run-files", "none")
    environ = {"CAPSULE_LOKI__URL": "http://127.0.0.1:9", "CAPSULE_SHIPPING__DEADLINE": "1"}
    process = capsule.start("seq", "20", options=options, env=environ)
    log = wait_until(capsule.find_log)
    wait_until(lambda: b'"status":"success"' in log.read_bytes())
    moved = capsule.root / "moved"
    capsule.scratch.rename(moved)
    run = capsule.finish(process)
    assert run.log is not None
    assert str(run.log).startswith(str(capsule.home))
    check_log_is_sound(run.records)
    assert capsule.run_json()["delivery"]["loki"]["owed"] == len(run.records)
    assert f"`capsule push {run.log}`".encode() in run.stderr
    assert run.stderr.count(b"its files are in") == 1
    (found,) = find_runs([str(moved), str(run.log.parent)])
    assert (found.status, b"kept nowhere" in run.stderr) == ("success", False)
    assert not list(capsule.root.rglob("*.next"))


@pytest.mark.parametrize("act", ["touch ../results", "ln -s /no/such ../results"])
def test_results_that_are_no_folder_any_more(capsule: Capsule, act: str) -> None:
    """The files stay in the run folder, and it is said why."""
    run = capsule.run("bash", "-c", f"rm -r ../results; {act}", options=("--strict",))
    assert run.status == 74
    assert run.log is not None
    assert f"the run folder is {run.log.parent}".encode() in run.stderr


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="needs setpriv")
def test_a_run_folder_that_is_closed(capsule: Capsule) -> None:
    """Its permissions are taken away: all files are in the next place, and the run's end is found there."""
    words = capsule.get_command("bash", "-c", "seq 20; chmod 555 ../scratch/.capsule/*")
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if not os.geteuid() else []
    done = subprocess.run(
        [*drop, *words], cwd=capsule.code, env=capsule.environ, capture_output=True, check=True)  # fmt: skip
    assert done.stderr.count(b"WARNING  ") == 1
    assert b"cannot be written" not in done.stderr
    (log,) = capsule.home.rglob("*.log.jsonl")
    check_log_is_sound(_find_lines(log))
    (told,) = capsule.home.rglob("*.run.json")
    assert json.loads(told.read_text())["status"] == "success"
    for folder in capsule.scratch.rglob(".capsule/*"):
        folder.chmod(0o755)
    (found,) = find_runs([str(capsule.scratch), str(capsule.home / ".local/state/aind-capsule")])
    assert (found.status, found.log) == ("success", str(log))


def test_links_at_our_names_are_not_followed(capsule: Capsule) -> None:
    """A link that was planted where we write: its target stays as it is, and our file is a file."""
    victim = capsule.root / "victim"
    victim.write_text("mine")
    (capsule.scratch / ".capsule").symlink_to(capsule.root / "elsewhere")
    (capsule.root / "elsewhere").mkdir()
    script = (
        "folder=$HOME/.local/state/aind-capsule/$CAPSULE_RUN_ID; name=bash-$CAPSULE_RUN_ID;"
        "rm $folder/*.next; ln -s {victim} $folder/$name.run.json.next; rm $folder/$name.run.json;"
        "ln -s {victim} $folder/$name.run.json; for end in log.jsonl run.json; do"
        " ln -s {victim} ../results/$name.$end; ln -s {victim} ../results/.$name.$end.part; done"
    ).replace("{victim}", str(victim))
    run = capsule.run("bash", "-c", script, options=("--process-name", "bash"))
    assert run.status == 0
    assert victim.read_text() == "mine"
    assert not list((capsule.root / "elsewhere").iterdir())
    copies = [path for path in capsule.results.iterdir() if not path.name.startswith(".")]
    assert sorted(path.suffix for path in copies) == [".json", ".jsonl"]
    assert not any(path.is_symlink() for path in copies)
    check_log_is_sound(run.records)
    assert json.loads(next(capsule.home.rglob("*.run.json")).read_text())["status"] == "success"
    assert b".capsule cannot be written" in run.stderr


@pytest.mark.parametrize("script", [
    "from aind_capsule import capsule_run\nwith capsule_run('qc') as run:\n    import shutil\n"
    "    shutil.rmtree('../scratch')\n    run.log_metric('m', 1)\n",
    pytest.param("import glob\nfrom aind_capsule import capsule_run, configure_logging\nfrom loguru import logger\n"
    "with capsule_run('qc') as run:\n    [logger.info(n) for n in range(30)]\n"
    "    open(glob.glob('../scratch/.capsule/*/*.log.jsonl')[0], 'w').close()\n    logger.info('after')\n"
    "    run.log_metric('m', 1)\n", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_run_without_a_wrapper(capsule: Capsule, script: str) -> None:
    """`capsule_run` alone keeps its files in the same way."""
    pytest.importorskip("loguru")
    done = subprocess.run(
        [PY, str(capsule.write("alone.py", script))], cwd=capsule.code, env=capsule.environ, capture_output=True, check=True)  # fmt: skip
    (published,) = capsule.results.glob("*.log.jsonl")
    records = _find_lines(published)
    assert records[0]["event_type"] == "stage_start"
    assert records[-1]["metrics"] == {"m": 1}
    assert done.stderr.count(b"while the run went on") == 1
    _check_paths(capsule, done.stderr)
    assert len(list(capsule.results.iterdir())) == 2


def test_logging_without_any_run(capsule: Capsule) -> None:
    """`configure_logging` alone keeps its log, and says where it is."""
    pytest.importorskip("loguru")
    script = (
        "import shutil\nfrom aind_capsule import configure_logging\nfrom loguru import logger\n"
        "configure_logging('qc')\nlogger.info('early')\nshutil.rmtree('../scratch')\nlogger.info('late')\n"
    )
    done = subprocess.run(
        [PY, str(capsule.write("alone.py", script))], cwd=capsule.code, env=capsule.environ, capture_output=True, check=True)  # fmt: skip
    (log,) = capsule.home.rglob("*.log.jsonl")
    assert [record["message"] for record in _find_lines(log)][1:] == ["early", "late"]
    assert str(log).encode() in done.stderr
