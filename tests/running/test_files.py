"""What a run writes and where: run folder, results, pipeline tasks, full disks, hostile capsules."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Capsule, build_environ, check_log_is_sound, parse_strictly

PY = sys.executable


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_run_files_are_in_results_afterwards(capsule: Capsule) -> None:
    """Log and run.json are copied into results, flat, with names unique to the run."""
    run = capsule.run(
        "sh", "-c", "echo x > ../results/out.txt", options=("--process-name", "my qc!")
    )
    names = sorted(path.name for path in capsule.results.iterdir())
    run_id = run.canonical["run_id"]
    assert names == sorted(["out.txt", f"my_qc_-{run_id}.log.jsonl", f"my_qc_-{run_id}.run.json"])
    assert (capsule.results / f"my_qc_-{run_id}.log.jsonl").read_bytes() == run.log.read_bytes()
    assert run.canonical["results_files"] == 1
    assert run.canonical["results_bytes"] == 2


def test_results_hold_nothing_of_ours_while_it_runs(capsule: Capsule) -> None:
    """The processing sees an empty results folder, hidden names included."""
    run = capsule.run("ls", "-A", "../results")
    assert run.stdout == b""
    assert run.status == 0


@pytest.mark.parametrize("script", [
    "rm -rf ../results/* ../results/.[!.]*; echo kept > ../results/a",
    "mv ../results ../moved; mkdir ../results; echo kept > ../results/a",
    "ls -A ../results > ../results/a; zip -qr ../results/all.zip ../results || true",
    "rm -rf ../results; mkdir ../results",
    "rm -rf ../results",
    "rm -rf ../scratch",
    "chmod 000 ../results",
])  # fmt: skip
def test_a_capsule_may_do_to_its_folders_what_it_likes(capsule: Capsule, script: str) -> None:
    """Emptying, moving, listing or deleting folders costs neither the run nor its status."""
    process = capsule.start("sh", "-c", f"{script}; exit 3")
    process.communicate(timeout=60)
    assert process.returncode == 3
    log = capsule.find_log() or next(iter(capsule.root.rglob("*.log.jsonl")), None)
    if "scratch" not in script:
        assert log is not None
        records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
        check_log_is_sound(records)
        assert records[-1]["exit_code"] == 3


@pytest.mark.parametrize(("value", "suffixes"), [
    ("all", {"log.jsonl", "run.json", "data_process.json"}), ("none", set()), ("log", {"log.jsonl"}),
    ("run,provenance", {"run.json", "data_process.json"}),
])  # fmt: skip
def test_run_files_setting(capsule: Capsule, value: str, suffixes: set[str]) -> None:
    """run_files says which files go into results."""
    capsule.run("true", options=("--run-files", value))
    run_id = capsule.run_json()["run_id"]
    names = {path.name for path in capsule.results.iterdir()}
    assert {name.partition(run_id)[2][1:] for name in names} == suffixes


def test_results_that_are_jobs_get_nothing(capsule: Capsule) -> None:
    """results_are_jobs in capsule.toml: no run file in results, whatever the environment says."""
    capsule.write("capsule.toml", "results_are_jobs = true\n")
    run = capsule.run("true", env={"CAPSULE_RUN_FILES": "all"})
    assert list(capsule.results.iterdir()) == []
    assert any("list of jobs" in r["message"] for r in run.records)


def test_a_missing_results_folder_is_no_error(capsule: Capsule) -> None:
    """A default results folder that is missing: no ERROR, nothing for --strict, it is not made, and the
    banners name the run folder; a link that leads nowhere is an ERROR."""
    capsule.results.rmdir()
    run = capsule.run("true", options=("--strict",))
    assert run.status == 0
    assert set(run.canonical["records"]) == {"INFO"}
    assert not capsule.results.exists()
    assert run.log is not None
    assert run.stderr.decode().count(f"none (there is no folder {capsule.results})") == 2
    assert run.stderr.decode().count(f"run files  {run.log.parent}\n") == 2
    capsule.results.symlink_to("nowhere")
    run = capsule.run("sh", "-c", "exit 5", options=("--strict",))
    assert run.status == 5
    assert run.canonical["records"] == {"INFO": 1, "ERROR": 1}
    assert run.canonical["status"] == "fail"


def test_results_that_the_processing_makes(capsule: Capsule) -> None:
    """A results folder that is made by the processing gets the run files."""
    capsule.results.rmdir()
    run = capsule.run("sh", "-c", "mkdir ../results; echo x > ../results/out")
    assert run.canonical["results_files"] == 1
    assert len(list(capsule.results.glob("*.log.jsonl"))) == 1


def test_without_scratch_the_state_folder_is_used(capsule: Capsule) -> None:
    """No scratch folder: the run folder is in the user's state folder; ./scratch is not made."""
    capsule.scratch.rmdir()
    run = capsule.run("true")
    assert run.log.is_relative_to(capsule.home / ".local" / "state" / "aind-capsule")
    assert not capsule.scratch.exists()
    assert b"scratch" in run.stderr


def test_without_any_home_a_temporary_folder_is_used(capsule: Capsule, tmp_path: Path) -> None:
    """Neither scratch nor state folder: a temporary folder, said on stderr."""
    capsule.scratch.rmdir()
    blocked = tmp_path / "file"
    blocked.write_text("")
    run = capsule.run("true", env={"HOME": str(blocked), "TMPDIR": str(tmp_path)})
    assert run.status == 0
    assert next(tmp_path.rglob("aind-capsule-*/*/*.log.jsonl"))
    assert b"run folder is" in run.stderr


@pytest.mark.parametrize("kind", ["data", "results", "scratch"])
def test_a_named_folder_that_cannot_be_used_is_refused(capsule: Capsule, kind: str) -> None:
    """A folder named by flag or variable that is not there: 78 before the start, with a canonical record."""
    for given in ({"options": (f"--{kind}", "/no/such/folder")},
                  {"env": {f"CAPSULE_{kind.upper()}": "/no/such/folder"}}):  # fmt: skip
        run = capsule.run("echo", "started", **given)
        assert (run.status, run.stdout) == (78, b"")
        assert b"/no/such/folder" in run.stderr
        told = run.canonical
        assert (told["status"], told["error_type"]) == ("fail", "SettingsError")
        assert "exit_code" not in told


def test_malformed_capsule_toml_is_refused(capsule: Capsule) -> None:
    """A capsule.toml that cannot be read: 78, the line in the message, a canonical record."""
    capsule.write("capsule.toml", "process_name = \n")
    run = capsule.run("echo", "started")
    assert (run.status, run.stdout) == (78, b"")
    assert b"line 1" in run.stderr
    assert run.canonical["error_type"] == "SettingsError"


def test_wrong_settings_of_logging_are_errors_and_the_run_goes_on(capsule: Capsule) -> None:
    """A wrong level or console mode: an ERROR with value and cure; the status is the child's."""
    env = {"CAPSULE_LOG__LEVEL": "LOUD", "CAPSULE_CONSOLE__MODE": "neon", "CAPSULE_GRACE": "soon"}
    run = capsule.run("sh", "-c", "exit 6", env=env)
    assert run.status == 6
    errors = [
        r["message"] for r in run.records if r["level"] == "ERROR" and "expected" in r["message"]
    ]
    assert len(errors) == 3
    assert any("'LOUD'" in message for message in errors)


def test_unknown_variables_and_near_misses_are_named(capsule: Capsule) -> None:
    """An unknown CAPSULE_* variable and a near miss of a known name are warnings that name them."""
    run = capsule.run("true", env={"CAPSULE_COLOUR": "x", "PIEPLINE_NAME": "p"})
    text = run.stderr.decode()
    assert "CAPSULE_COLOUR" in text
    assert "Did you mean PIPELINE_NAME" in text


def test_strict_turns_troubles_into_74(capsule: Capsule) -> None:
    """--strict: a wrong logging setting makes a successful run end with 74; a failed one keeps its status."""
    env = {"CAPSULE_LOG__LEVEL": "LOUD"}
    assert capsule.run("true", options=("--strict",), env=env).status == 74
    assert capsule.run("sh", "-c", "exit 3", options=("--strict",), env=env).status == 3
    assert capsule.run("true", options=("--strict",)).status == 0


def test_usage_errors(capsule: Capsule) -> None:
    """No command, an unknown option, a wrong value of a flag: 2, and what was expected."""
    assert capsule.run().status == 2
    assert capsule.run("true", options=("--no-such",)).status == 2
    wrong = capsule.run("true", options=("--timeout", "soon"))
    assert wrong.status == 2
    assert b"90m" in wrong.stderr


def test_run_json_first_and_last(capsule: Capsule) -> None:
    """run.json is there while the run lives (running), and at its end tells all, also on failure."""
    (capsule.data / "asset_1").mkdir()
    script = "cat ../scratch/.capsule/*/*.run.json; exit 2"
    run = capsule.run("sh", "-c", script, "--rate", "30", "--mode=fast", "", "in.nwb")
    assert json.loads(run.stdout)["status"] == "running"
    told = capsule.run_json()
    assert (told["status"], told["exit_code"], told["run_id"]) == (
        "fail",
        2,
        run.canonical["run_id"],
    )
    assert told["parameters"]["mode"] == "fast"
    assert told["inputs"] == [{"name": "asset_1", "path": str(capsule.data / "asset_1")}]
    assert told["environment"]["machine"]["usable_cores"] >= 1
    assert told["environment"]["toolkit"]["name"] == "aind-capsule"
    assert run.canonical["input_assets"] == ["asset_1"]


def test_upstream_runs_are_gathered(capsule: Capsule, tmp_path: Path) -> None:
    """The run.json of a run among the inputs, and what that one had upstream, once each."""
    first = Capsule(tmp_path / "first")
    first.run("true", options=("--process-name", "first"))
    second = Capsule(tmp_path / "second")
    (second.data / "in").symlink_to(first.results)
    second.run("true", options=("--process-name", "second"))
    (capsule.data / "a").symlink_to(first.results)
    (capsule.data / "b").symlink_to(second.results)
    capsule.run("true")
    told = capsule.run_json()
    upstream = {run["process_name"]: run for run in told["upstream"]}
    assert sorted(upstream) == ["first", "second"]
    assert sorted(told["parents"]) == sorted(run["run_id"] for run in upstream.values())
    assert upstream["second"]["parents"] == [upstream["first"]["run_id"]]
    assert [entry["path"] for entry in told["inputs"]] == [str(first.results), str(second.results)]


def test_fields_and_names(capsule: Capsule) -> None:
    """--field, names and ids of the platform are in every record; the fields of the standard are kept."""
    env = {
        "CO_CAPSULE_ID": "cap-1",
        "CO_CPUS": "many",
        "CO_MEMORY": "-",
        "aibs_comp_id": "FRG.1-A",
        "CAPSULE_USER_ID": "ada",
    }
    options = (
        "--field",
        "site=north",
        "--field",
        "subject_id=7",
        "--field",
        "level=high",
        "--pipeline-name",
        "p",
    )
    run = capsule.run("echo", "x", options=options, env=env)
    for record in run.records:
        assert (record["site"], record["subject_id"], record["level_"]) == ("north", "7", "high")
        assert (record["capsule_id"], record["rig_id"], record["pipeline_name"]) == (
            "cap-1",
            "frg_1_a",
            "p",
        )
        assert record["user_id"] == "ada"


def test_log_level_and_cap(capsule: Capsule) -> None:
    """log.level cuts the file's level; log.max_bytes caps it, counts drops, and keeps the canonical record."""
    env = {"CAPSULE_LOG__LEVEL": "WARNING"}
    assert capsule.run("printf", "a\\n[ERROR] b\\n", env=env).messages == ["[ERROR] b"]
    env = {"CAPSULE_LOG__MAX_BYTES": "300 kB"}
    run = capsule.run("seq", "100000", env=env, options=("--console", "off"))
    told = run.canonical
    assert run.log.stat().st_size <= 300_000
    assert told["lost_records"]["size_cap"] + told["records"]["INFO"] == 100_001
    assert run.stdout.count(b"\n") == 100_000


def test_session_file_and_console_modes(capsule: Capsule) -> None:
    """--session writes the log for people with both banners; --console json and off do as they say."""
    run = capsule.run("sh", "-c", "echo one; echo two >&2", options=("--session",))
    (session,) = capsule.results.glob("*.log.txt")
    text = session.read_text()
    assert text.index("capsule run") < text.index("one") < text.index("sh finished")
    assert "status" in text
    quiet = capsule.run("sh", "-c", "echo two >&2", options=("--console", "off"))
    assert quiet.stderr == b"two\n"
    as_json = capsule.run("true", options=("--console", "json"))
    lines = [parse_strictly(line) for line in as_json.stderr.splitlines()]
    assert lines[0]["event_type"] == "stage_start"
    assert lines[-1]["status"] == "success"
    assert lines[-1]["run_id"] == as_json.canonical["run_id"]
    assert run.canonical["status"] == "success"


def _build_task_environ(root: Path) -> dict[str, str]:
    """Nobody has asked for run files."""
    environ = build_environ(root)
    del environ["CAPSULE_RUN_FILES"]
    return environ


def _build_task(root: Path, script: str) -> Path:
    task = root / "work" / "ab" / "cdef0123"
    for kind in ("code", "data", "results", "scratch"):
        (task / "capsule" / kind).mkdir(parents=True)
    run = task / "capsule" / "code" / "run"
    run.write_text(f"#!/usr/bin/env bash\n{script}\n")
    run.chmod(0o755)
    return task


def test_in_a_task_without_links_results_are_as_without_us(tmp_path: Path) -> None:
    """A SLURM task: the siblings of the working directory are found, results are byte-identical to the
    unwrapped run's, and the canonical record is one JSON line on stderr."""
    script = (
        "set -e\necho job > ../results/job_1.json\nprintf '\\0\\1' > ../results/data.bin\necho done"
    )
    digests, runs = [], []
    for index, wrapped in enumerate((False, True)):
        task = _build_task(tmp_path / str(index), script)
        command = f"{PY} -m aind_capsule run -- ./run" if wrapped else "./run"
        (task / ".command.sh").write_text(f"cd capsule/code\n{command}\n")
        runs.append(subprocess.run(
            ["bash", "-ue", ".command.sh"], cwd=task, env=_build_task_environ(tmp_path), capture_output=True, check=True))  # fmt: skip
        digests.append(_digest(task / "capsule" / "results"))
    assert digests[0] == digests[1] != {}
    assert runs[0].stdout == runs[1].stdout
    told = parse_strictly(runs[1].stderr.splitlines()[-1])
    assert told["status"] == "success"
    assert b"not put into results" in runs[1].stderr
    log = next((tmp_path / "1").rglob("*.log.jsonl"))
    assert log.name == f"{told['run_id']}.log.jsonl"
    check_log_is_sound([parse_strictly(line) for line in log.read_bytes().splitlines()])


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")
def test_in_a_task_with_links(tmp_path: Path) -> None:
    """A generated task: /data, /results, /scratch and /code are links into the task's folder."""
    task = _build_task(tmp_path, "ls -A /results; echo out > /results/out.txt")
    newroot = tmp_path / "root"
    newroot.mkdir()
    links = "".join(
        f"ln -s {task}/capsule/{k} {newroot}/{k}; " for k in ("data", "results", "scratch", "code")
    )
    mounts = "".join(
        f"mkdir -p {newroot}{d}; mount --rbind {d} {newroot}{d}; "
        for d in (
            "/usr",
            "/bin",
            "/lib",
            "/lib64",
            "/etc",
            "/proc",
            "/dev",
            "/sys",
            "/tmp",
            "/root",
            str(Path(__file__).parents[2]),
        )
        if os.path.exists(d)
    )
    inner = f"cd {task}; exec bash -ue .command.sh"
    (task / ".command.sh").write_text(
        f"cd {task}/capsule/code\n{PY} -m aind_capsule run -- ./run\n"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mounts}{links}exec chroot {newroot} sh -c '{inner}'"],
        env=_build_task_environ(tmp_path), capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [p.name for p in (task / "capsule" / "results").iterdir()] == ["out.txt"]
    assert len(list((task / "capsule" / "scratch").rglob("*.log.jsonl"))) == 1
    assert parse_strictly(done.stderr.splitlines()[-1])["status"] == "success"


def test_a_pipelines_owner_may_switch_run_files_on(tmp_path: Path) -> None:
    """CAPSULE_RUN_FILES=all in a task: the files are there, their names without the process."""
    task = _build_task(tmp_path, "true")
    (task / ".command.sh").write_text(f"cd capsule/code\n{PY} -m aind_capsule run -- ./run\n")
    env = {**build_environ(tmp_path), "CAPSULE_RUN_FILES": "all", "PROCESS_NAME": "job ecephys"}
    subprocess.run(
        ["bash", "-ue", ".command.sh"], cwd=task, env=env, capture_output=True, check=True
    )
    names = [p.name for p in (task / "capsule" / "results").iterdir()]
    assert len(names) == 3
    assert not any("job" in name or "ecephys" in name for name in names)


@pytest.mark.parametrize(
    ("run_files", "mode", "level", "command"),
    [
        ("all", "plain", "INFO", "printf torn >&2; exit 3"),
        ("all", "json", "INFO", "exit 3"),
        ("none", "json", "CRITICAL", "exit 3"),
        ("log", "off", "INFO", "kill -9 $$"),
        ("all", "off", "INFO", None),
    ],
)
def test_in_a_task_the_canonical_record_is_the_last_line(
    capsule: Capsule, run_files: str, mode: str, level: str, command: str | None
) -> None:
    """Whatever is in results and on the console, stderr ends with the one canonical record as JSON."""
    env = {
        "NXF_TASK_WORKDIR": str(capsule.root), "CAPSULE_RUN_FILES": run_files,
        "CAPSULE_CONSOLE__LEVEL": level, "CAPSULE_SHIPPING__DEADLINE": "0.2",
        "CAPSULE_LOKI__URL": "http://127.0.0.1:9" if mode == "plain" else "",
    }  # fmt: skip
    words = ("sh", "-c", command) if command is not None else ("no such command",)
    run = capsule.run(*words, options=("--console", mode), env=env)
    told = [line for line in run.stderr.splitlines() if b'"status":"fail"' in line]
    assert told == run.stderr.splitlines()[-1:]
    last = parse_strictly(told[0])
    assert last | {"seq": run.canonical["seq"]} == run.canonical
    assert (b"have not reached loki" in run.stderr) == (mode == "plain")
    assert (b"stage_start" in run.stderr) == ((mode, level) == ("json", "INFO"))


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_keeps_the_canonical_record(capsule: Capsule, small_disk: Path) -> None:
    """Scratch full in the middle: records are dropped and counted, the canonical record and run.json are
    written, the status is the child's."""
    run = capsule.run(
        "sh",
        "-c",
        "seq 100000; exit 3",
        options=("--scratch", str(small_disk), "--console", "plain"),
    )
    log = next(small_disk.rglob("*.log.jsonl"))
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    check_log_is_sound(records)
    told = records[-1]
    assert (run.status, told["exit_code"]) == (3, 3)
    assert told["lost_records"]["disk_full"] + sum(told["records"].values()) == 100_001
    assert json.loads(next(small_disk.rglob("*.run.json")).read_text())["exit_code"] == 3
    assert run.stderr.count(b"No space is left") == 1


def test_a_full_disk_that_gets_room_again(capsule: Capsule, small_disk: Path) -> None:
    """When there is room again the log goes on; numbers have no gap."""
    script = (
        f"dd if=/dev/zero of={small_disk}/fill bs=64k 2>/dev/null; seq 2000; read word; echo again"
    )
    process = capsule.start("sh", "-c", script, stdin=subprocess.PIPE,
                            options=("--scratch", str(small_disk), "--console", "off"))  # fmt: skip
    while process.stdout.readline() != b"2000\n":
        pass
    (small_disk / "fill").unlink()
    capsule.finish(process, data=b"go\n")
    log = next(small_disk.rglob("*.log.jsonl"))
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    check_log_is_sound(records)
    assert records[-2]["message"] == "again"
    assert records[-1]["lost_records"]["disk_full"] > 0


def test_results_full_is_an_error_that_names_the_run_folder(
    capsule: Capsule, small_disk: Path
) -> None:
    """A copy that fails is an ERROR that names the run folder; the run's status stays."""
    run = capsule.run("sh", "-c", f"dd if=/dev/zero of={small_disk}/big bs=64k 2>/dev/null; exit 0",
                      options=("--results", str(small_disk)))  # fmt: skip
    assert run.status == 0
    assert b"could not be copied" in run.stderr
    assert str(run.log.parent).encode() in run.stderr
    assert [p.name for p in small_disk.iterdir()] == ["big"]


def test_old_run_folders_are_removed(capsule: Capsule) -> None:
    """Run folders older than history.keep_days go; younger ones stay."""
    old = capsule.scratch / ".capsule" / "20200101T000000-00000000"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    capsule.run("true")
    assert not old.exists()
    assert len(list((capsule.scratch / ".capsule").iterdir())) == 1


def test_reserved_space_is_given_back(capsule: Capsule) -> None:
    """A finished log takes no more disk than its bytes."""
    run = capsule.run("true")
    assert run.log.stat().st_blocks * 512 <= 8192


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_that_cannot_reserve_space(capsule: Capsule, tmp_path: Path) -> None:
    """Where space cannot be reserved it is said once, and the run is logged all the same."""
    folder = tmp_path / "ramfs"
    folder.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "none", folder], check=True)
    try:
        run = capsule.run("seq", "1000", options=("--scratch", str(folder)))
        log = next(folder.rglob("*.log.jsonl"))
        records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
    check_log_is_sound(records)
    assert records[-1]["records"]["INFO"] == 1001
    assert run.stderr.count(b"cannot reserve space") == 1
