"""How a run's process is called, and what decides it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.context.pipeline_task import PipelineTask
from aind_capsule.running.identity import ProcessName, find_process_name
from aind_capsule.running.prepare import RunRequest, prepare
from aind_capsule.settings.model import Settings
from tests.conftest import Capsule, build_environ, parse_strictly
from tests.context.test_task_name import NEW, OLD
from tests.context.trees import write_tree

PY = sys.executable
CAPSULE_ID = {"CO_CAPSULE_ID": "1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809"}
CLONE = "git clone --branch v3.0 https://$TOKEN@$HOST/capsule-2222222.git capsule-repo\n"


def find(
    line: str, cwd: Path | str, *, task: PipelineTask | None = None, **environ: str
) -> ProcessName:
    return find_process_name(Settings(), shlex.split(line), str(cwd), environ, task)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """The code folder of a capsule that is called `my-qc`."""
    files = ("run", "main.py", "run_capsule.py", "fit.R", "pkg/main.py", "src/main.jl", "nb.ipynb")
    write_tree(tmp_path / "my-qc", {f"code/{name}": "" for name in files} | {"data/": ""})
    (tmp_path / "my-qc/code/run").chmod(0o755)
    return tmp_path / "my-qc/code"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("./run", "my-qc"),
        ("bash -e run", "my-qc"),
        ("bash -euo pipefail ./run --rate 3", "my-qc"),
        ("busybox sh -e run", "my-qc"),
        ("python -X dev -u run_capsule.py", "my-qc"),
        ("xvfb-run -a python main.py", "my-qc"),
        ("julia src/main.jl", "my-qc"),
        ("python -m main", "my-qc"),
        ("bash -c ./run", "my-qc"),
        ("python -c pass", "my-qc"),
        ("bash /dev/fd/63", "my-qc"),
        ("env PATH=x matlab -batch main", "my-qc"),
        ("Rscript --vanilla fit.R", "fit"),
        ("python -m pkg.main", "pkg"),
        ("python -m pkg.fit", "pkg.fit"),
        ("python -m pkg", "pkg"),
        ("papermill nb.ipynb out.ipynb", "nb"),
        ("matlab -batch 'sort_spikes(3)'", "sort_spikes"),
        ("nice -n 5 ./fit-all", "fit-all"),
        ("python3.11 tool.v2.py", "tool.v2"),
        ("/opt/tools/sort3.11", "sort3.11"),
        ("echo hello", "echo"),
    ],
)
def test_names_of_commands(code: Path, line: str, name: str) -> None:
    """The script's, module's or program's own name; a general one takes its capsule's folder's."""
    assert find(line, code) == ProcessName(name)


@pytest.mark.parametrize(
    ("folder", "line", "name"),
    [
        ("a/capsule/code", "bash -e run", "run"),
        ("a/capsule/code", "python -u run_capsule.py", "run_capsule"),
        ("a/capsule/code", "python __main__.py", "python"),
        ("tmp.a1B2c3D4e5/code", "./run", "run"),
        ("tmpab12cd_9/code", "./run", "run"),
        ("nxf.a1B2c3/code", "./run", "run"),
        ("nxf.abcdef/code", "./run", "run"),
        ("cdef0123a4b5c6d7e8f9/code", "bash -l run", "run"),
        ("1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809", "./run", "run"),
        ("job_12345", "./run", "run"),
        ("qc-2026-01-12_09-15", "./run", "run"),
        ("20260112T091530-3fa85c2e", "./run", "run"),
        ("x", "bash tmp.Xa12bc", "x"),
        ("capsule", "bash tmp.Xa12bc", "bash"),
        ("capsule", "python tmpab12cd_9.py", "python"),
        ("capsule", "python 31415.py", "python"),
        ("x", "bash -c 'exit 3'", "bash"),
        ("x", "bash", "bash"),
        ("x", "Rscript -e 1", "Rscript"),
        ("facade/code", "./run", "facade"),
        ("area51/code", "./run", "area51"),
        ("template-qc/code", "./run", "template-qc"),
        ("x", "./qc_20260112.sh", "qc_20260112"),
        (f"spike-sorting-{'1a' * 20}/code", "./run", "spike-sorting"),
        ("org-spike-sorting-1a2b3c4/code", "./run", "org-spike-sorting"),
        ("qc_1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809/code", "./run", "qc"),
        ("capsule-1234567/code", "./run", "capsule-1234567"),
        ("qc-facade/code", "./run", "qc-facade"),
    ],
)
def test_names_do_not_change_from_run_to_run(
    tmp_path: Path, folder: str, line: str, name: str
) -> None:
    """Temporary folders, hashes, dates and numbers are in no name, nor is an interpreter's flag."""
    assert find(line, write_tree(tmp_path / folder, {"run": ""})).text == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("qc.V8HEKc", "qc"),
        ("my-qc-qhXnnFWqBN", "my-qc"),
        ("qc__cjsb12w", "qc"),
        ("qca1_bcdef", "qc"),
        ("qc_jmhjvsha", "qc"),
        ("run_xrQc", "run"),
        ("capsule.AIG3N0", "run"),
        ("spike-sorting", "spike-sorting"),
        ("area51", "area51"),
    ],
)
def test_names_of_temporary_folders(tmp_path: Path, name: str, expected: str) -> None:
    """What `mktemp` and Python put behind a name is no part of it; elsewhere such a name stays."""
    for folder in ("tmp", "x"):
        write_tree(tmp_path, {f"{folder}/{name}/code/run": ""})
        found = find("./run", tmp_path / folder / name / "code", TMPDIR=f"{tmp_path}/tmp/").text
        assert found == (expected if folder == "tmp" else name)


def test_what_was_set_is_no_guess(code: Path) -> None:
    """A name that was set holds, on one short line; a word for nothing is none."""

    def name(given: str) -> ProcessName:
        return find_process_name(Settings(process_name=given), ["./run"], str(code), CAPSULE_ID)

    assert name("my sorting (v2)") == ProcessName("my sorting (v2)", is_guess=False)
    assert name("a\x1b[1m\nb\udcff") == ProcessName("a [1m b?", is_guess=False)
    assert len(name("x" * 1000).text) == 128
    for nothing in ("\x01", "null", " undefined "):
        assert name(nothing).text == "capsule-1a2b3c4d"


def test_the_platforms_capsule(code: Path) -> None:
    """Where nothing else names a plain run it bears its capsule's id, and says how to name it."""
    name = find("python -m pkg.fit", code, **CAPSULE_ID)
    assert (name.text, name.is_guess) == ("capsule-1a2b3c4d", True)
    assert "process_name in code/capsule.toml" in str(name.hint)
    assert find("./run", code, CO_CAPSULE_ID="null") == ProcessName("my-qc")
    _init(code.parent, url="https://host/org/other-name.git")
    assert find("./run", code, **CAPSULE_ID) == ProcessName("other-name")


def _init(top: Path, url: str = "") -> Path:
    config = f'[remote "origin"]\n\turl = {url}\n' if url else ""
    write_tree(top, {".git/HEAD": "ref: refs/heads/main\n", ".git/config": config})
    return top


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:secret@host/org/spike-sorting.git", "spike-sorting"),
        ("https://user:secret@host", "host"),
        ("https://host/org/spike-sorting/", "spike-sorting"),
        ("git@host:spike-sorting.git", "spike-sorting"),
        ("/mnt/repos/spike-sorting/.git", "spike-sorting"),
        ("C:\\repos\\spike-sorting", "spike-sorting"),
        ("https://host/capsule-1234567.git", "capsule-1234567"),
        ("https://host/org/capsule-repo.git", "clone"),
        ("https://host/org/code", "clone"),
        ("/tmp/tmp.a1B2c3D4", "clone"),
        ("", "clone"),
    ],
)
def test_the_repositorys_name(tmp_path: Path, url: str, name: str) -> None:
    """In a checkout its remote's name, the same on every machine; else its folder's."""
    top = write_tree(_init(tmp_path / "clone", url), {"code/fit.py": "", "code/deep/run": ""})
    for line in ("python code/fit.py", "bash -e code/deep/run", "bash -c x", f"{top}/code/fit.py"):
        assert find(line, top) == ProcessName(name)


def test_a_remote_that_is_not_called_origin(tmp_path: Path) -> None:
    """The first remote's address counts where no remote is `origin`."""
    _init(tmp_path / "clone", "h/fork")
    config = tmp_path / "clone/.git/config"
    upstream = '[remote "upstream"]\n\turl = https://h/qc.git\n\turl = https://h/second.git\n'
    config.write_text(upstream + config.read_text())
    assert find("./run", tmp_path / "clone").text == "fork"
    config.write_text(upstream + '[remote "x"]\n\turl = h/x\n')
    assert find("./run", tmp_path / "clone").text == "qc"


def test_what_does_not_lie_in_the_checkout(tmp_path: Path) -> None:
    """Installed programs are called by their own name, also those of an environment in a checkout;
    a home folder under version control is no capsule."""
    top = write_tree(_init(tmp_path / "clone", "h/qc"), {".venv/bin/pytest": "", "code/run": ""})
    (top / ".venv/bin/pytest").chmod(0o755)
    assert find("echo hello", top).text == "echo"
    assert find("python -m json.tool", top).text == "json.tool"
    assert find(".venv/bin/pytest -q", top).text == "pytest"
    assert find("pytest", top, PATH=f"/nowhere:{top}/.venv/bin").text == "pytest"
    assert find("code/fit", top, HOME=str(top)).text == "fit"
    assert find("code/fit", top, HOME=str(tmp_path)).text == "qc"
    assert find("./run", tmp_path, HOME=str(tmp_path)).text == "run"


def test_ways_into_a_checkout(tmp_path: Path) -> None:
    """A link to a program leads to its checkout; PATH does; worktrees and submodules have a file."""
    top = write_tree(
        _init(tmp_path / "clone", "h/qc"), {"code/fit": "", "code/pkg/__init__.py": ""}
    )
    (top / "code/fit").chmod(0o755)
    write_tree(tmp_path, {"bin/": "", "tree/.git": f"gitdir: {top}/.git/worktrees/tree\n"})
    write_tree(top / ".git/worktrees/tree", {"HEAD": "ref: refs/heads/x\n", "commondir": "../..\n"})
    (tmp_path / "bin/quality").symlink_to(top / "code/fit")
    assert find(f"{tmp_path}/bin/quality", "/").text == "qc"
    assert find("quality", "/", PATH=str(tmp_path / "bin")).text == "qc"
    assert find("bash -e fit", "/", PATH=str(top / "code")).text == "qc"
    assert find("python -m pkg", top / "code").text == "qc"
    write_tree(tmp_path, {"bin/fit": "", "dir/fit/": "", "empty/": "", "other/fit": ""})
    (tmp_path / "other/fit").chmod(0o755)
    assert find("bash -e fit", top / "code", PATH=str(tmp_path / "other")).text == "qc"
    assert find("bash -e fit", "/", PATH=str(tmp_path / "other")).text == "fit"
    assert find("fit", top / "code", PATH=str(tmp_path / "empty")).text == "fit"
    in_turn = f"{tmp_path}/dir:{tmp_path}/bin:{top}/code"
    assert find("fit", "/", PATH=in_turn).text == "qc"
    assert find("./fit", tmp_path / "tree").text == "qc"


def _build_task(folder: Path, run: str | None = None, script: str | None = None) -> PipelineTask:
    texts = {".command.run": run, ".command.sh": script}
    write_tree(folder, {name: text for name, text in texts.items() if text is not None})
    paths = (str(folder / name) if (folder / name).exists() else None
             for name in (".command.sh", ".command.run"))  # fmt: skip
    return PipelineTask("evidence", str(folder), *paths)


def test_names_of_tasks(tmp_path: Path) -> None:
    """The pipeline's name of the process, which is no guess; else the repository that is cloned; else
    the capsule's id; never the task's folder, or the checkout that the pipeline was started in."""
    _init(tmp_path, "https://host/org/my-pipeline")
    folder = tmp_path / "tasks/ab/cdef0123456789abcdef"
    code = write_tree(folder / "capsule/code", {"run": "", "fit.py": ""})
    task = _build_task(folder)
    assert find("./run", code, task=task).text == "run"
    assert find("python fit.py", code, task=task).text == "fit"
    assert find("./run", code, task=task, **CAPSULE_ID).text == "capsule-1a2b3c4d"
    task = _build_task(folder, script="git clone https://$HOST/$NAME.git capsule-repo\n")
    assert find("./run", code, task=task).text == "run"
    task = _build_task(folder, script=CLONE)
    assert find("./run", code, task=task, **CAPSULE_ID) == ProcessName("capsule-2222222")
    for form in (NEW, OLD):
        task = _build_task(folder, run=form.format("capsule_work_2 (capsule-2222222)"))
        assert find("bash -e run", code, task=task) == ProcessName("work", is_guess=False)
    task = _build_task(folder, run=NEW.format("capsule_2 (capsule-2222222)"))
    assert find("./run", code, task=task).text == "capsule-2222222"
    _init(folder / "capsule", "https://host/org/inner")
    assert find("./run", code, task=_build_task(tmp_path / "tasks/ab/none")).text == "run"
    assert find("./run", code, task=_build_task(folder, script="")).text == "inner"


def test_a_wrapped_task_script(tmp_path: Path) -> None:
    """Where the task's whole script is wrapped, the name beside it is the run's."""
    folder = tmp_path / "tasks/ab/cdef0123456789abcdef"
    _build_task(folder, run=NEW.format("sorting (3)"), script="")
    assert find("bash -ue .command.sh", folder).text == "sorting"
    assert find(f"bash -ue {folder}/.command.sh", "/").text == "sorting"
    assert find("bash other.sh", folder).text == "other"


@given(command=st.lists(st.text(max_size=10), max_size=4), given_name=st.text(max_size=5))
def test_every_command_has_a_name(command: list[str], given_name: str) -> None:
    """Never empty, never long, no control characters, whatever the command is."""
    settings = Settings(process_name=given_name)
    name = find_process_name(settings, command, "/tmp", {"PATH": "/bin"}).text
    assert name == name.strip()
    assert 0 < len(name) <= 128
    assert name.isprintable()


def _run_task(root: Path, script: str, *, cwd: Path | None = None) -> tuple[dict, Path]:
    """Run a task's script as the engine does; its canonical record, and the capsule's folder."""
    folder = root / "tasks/ab/cdef0123456789abcdef"
    cwd = cwd or folder
    for kind in ("code", "data", "results", "scratch"):
        (cwd / "capsule" / kind).mkdir(parents=True)
    (cwd / "capsule/code/run").write_text("#!/usr/bin/env bash\necho done\n")
    write_tree(
        folder,
        {".command.sh": f"{script}cd capsule/code\n{PY} -m aind_capsule run -- bash -e run\n"},
    )
    environ = build_environ(root)
    del environ["CAPSULE_RUN_FILES"]
    done = subprocess.run(
        ["bash", "-ue", str(folder / ".command.sh")],
        cwd=cwd, env=environ, capture_output=True, check=True)  # fmt: skip
    return parse_strictly(done.stderr.splitlines()[-1]), cwd / "capsule"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_real_tasks(tmp_path: Path) -> None:
    """Under `process.scratch` an ancestor's command line leads to the engine's script; without that
    script the address that the task's script clones names the process."""
    scratch = tmp_path / "nxf.a1B2c3D4e5"
    folder = tmp_path / "one/tasks/ab/cdef0123456789abcdef"
    write_tree(folder, {".command.run": NEW.format("capsule_work_2 (capsule-2222222)")})
    told, capsule = _run_task(tmp_path / "one", "set -e\n", cwd=scratch)
    assert told["process_name"] == "work"
    assert told["message"] == "work finished"
    assert os.listdir(capsule / "results") == []
    told, _ = _run_task(tmp_path / "two", f"test -d . || {CLONE}")
    assert told["process_name"] == "capsule-2222222"


def test_the_platforms_name_is_explained_once(capsule: Capsule) -> None:
    """A run that is named by its capsule's id says in one record how to name it."""
    run = capsule.run("bash", "-c", "exit 3", env=CAPSULE_ID)
    assert run.canonical["process_name"] == "capsule-1a2b3c4d"
    hints = [r for r in run.records if "code/capsule.toml" in r["message"]]
    assert [r["level"] for r in hints] == ["INFO"]
    assert run.canonical["status"] == "fail"


@pytest.mark.parametrize(
    ("cwd", "line", "is_capsules"),
    [
        ("", "echo hello", False),
        ("", "bash -c 'echo code/run'", False),
        ("", "cat code/run", False),
        ("", "python -m json.tool code/x", False),
        ("code/sub", "echo hello", False),
        ("code", "echo hello", True),
        ("", "code/run", True),
        ("", "bash -eo pipefail code/run", True),
        ("", "nice -n 5 python -u code/sub/fit.py", True),
        ("code/sub", "python fit.py", True),
        ("data", "python ../code/sub/fit.py", True),
        ("data", "{root}/code/run", True),
        ("data", "env -C ../code A=1 bash -e run", True),
        ("data", "conda run --cwd {root} nice env --chdir=code ./run", True),
        ("data", "env -C ../code/sub echo hello", False),
        ("", "matlab -sd code -batch \"run('sub/fit.m')\"", True),
        ("", "matlab -batch \"run('code/sub/fit.m')\"", True),
        ("data", "bash {root}/link", True),
        ("data", "run", True),
    ],
)
def test_reach_of_the_capsules_file(
    capsule: Capsule, cwd: str, line: str, is_capsules: bool
) -> None:
    """`capsule.toml` counts in its own folder and for a program that lies there: behind an interpreter,
    through a link, by a relative path, in PATH. A file that is an argument is no program."""
    capsule.write("capsule.toml", "process_name = 'of-the-file'\n")
    capsule.write("run", "")
    write_tree(capsule.code, {"sub/fit.py": ""})
    (capsule.root / "link").symlink_to("code/run")
    environ = {**capsule.environ, "PATH": f"/nowhere:{capsule.code}"}
    command = shlex.split(line.format(root=capsule.root))
    prepared = prepare(RunRequest(command, {}, environ, str(capsule.root / cwd)))
    assert (prepared.facts.process_name == "of-the-file") is is_capsules


@pytest.mark.parametrize("way", ["flag", "variable", "the other variable", "file", "nothing"])
def test_ways_to_set_a_name(capsule: Capsule, way: str) -> None:
    """A flag, two variables and `capsule.toml` set the name, before any guess."""
    if way == "file":
        capsule.write("capsule.toml", "process_name = 'set'\n")
    flags = {"process_name": "set"} if way == "flag" else {}
    variable = {"variable": "CAPSULE_PROCESS_NAME", "the other variable": "PROCESS_NAME"}.get(way)
    environ = {**capsule.environ, **({variable: "set"} if variable else {})}
    facts = prepare(RunRequest(["echo"], flags, environ, str(capsule.code))).facts
    expected = ("echo", True) if way == "nothing" else ("set", False)
    assert (facts.process_name, facts.is_name_guess) == expected


def test_an_upload_needs_a_results_folder(capsule: Capsule) -> None:
    """What is to be uploaded and is not there is an ERROR; of a run that uploads nothing it is none."""
    capsule.results.rmdir()
    for flags, count in (({}, 0), ({"upload.url": "s3://bucket/assets"}, 1)):
        prepared = prepare(RunRequest(["true"], flags, capsule.environ, str(capsule.code)))
        problems = [problem for problem in prepared.problems if problem.is_error]
        assert len([p for p in problems if str(capsule.results) in p.message]) == count
    capsule.write("run", "")
    for kind in ("data", "scratch"):
        (capsule.root / kind).rename(capsule.root / f"no-{kind}")
        (capsule.root / kind).touch()
    prepared = prepare(RunRequest(["true"], {}, capsule.environ, str(capsule.code)))
    assert not any(problem.is_error for problem in prepared.problems)


def test_a_command_in_a_checkout(capsule: Capsule) -> None:
    """In a checkout's top folder a command of the system's is called by its own name, with no ERROR."""
    _init(capsule.root, "https://host/org/my-qc.git")
    capsule.write("capsule.toml", "process_name = 'of-the-file'\n")
    capsule.results.rmdir()
    run = capsule.run("echo", "hello", cwd=capsule.root, options=("--strict",))
    assert (run.status, run.stdout, run.canonical["process_name"]) == (0, b"hello\n", "echo")
    assert "ERROR" not in run.canonical["records"]
