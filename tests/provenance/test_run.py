"""`…_data_process.json` as runs write it, whatever ends them, and what it may never do to a run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from aind_data_schema.core.processing import DataProcess

from aind_capsule.provenance.data_process_v1 import find_faults
from aind_capsule.provenance.model.record_kinds import is_data_process
from aind_capsule.running.data_process import find_own_record
from tests.conftest import Capsule, Finished, wait_until
from tests.provenance.folders import ID_A, ID_B, read_graph, write_json, write_run
from tests.provenance.runs import RUN

PY = sys.executable
RECORD = {
    "process_type": "Other", "name": "own", "stage": "Processing", "code": {"url": "u"},
    "experimenters": [], "start_date_time": "2026-01-01T00:00:00Z",
}  # fmt: skip
NO_RECORDS = (
    "{}", "", "{", "[]", "null", "text", '{"a": NaN}', '{"process_type": "Other"}', "[" * 5000,
    '{"name": "x", "start_date_time": "2026-01-01T00:00:00Z"}', '{"data_processes": [{}]}',
    '{"processing_pipeline": {}}', json.dumps([RECORD]), '{"status": "done"}',
)  # fmt: skip
BROKEN = "raise ValueError('built for another pydantic')"


@pytest.fixture
def capsule(tmp_path: Path) -> Capsule:
    """A capsule whose run files are what they are by default."""
    capsule = Capsule(tmp_path / "capsule")
    del capsule.environ["CAPSULE_RUN_FILES"]
    return capsule


def _find_records(capsule: Capsule) -> list[Path]:
    return sorted(capsule.results.rglob("*_data_process.json"))


def _read_record(capsule: Capsule) -> dict[str, Any]:
    """The only record in results, taken by the schema, and the same as in the run folder."""
    (path,) = _find_records(capsule)
    (original,) = capsule.scratch.glob(f".capsule/*/{path.name}")
    assert path.read_bytes() == original.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        DataProcess.model_validate_json(path.read_bytes())
    return dict(json.loads(path.read_bytes()))


def _break_schema(capsule: Capsule, body: str) -> dict[str, str]:
    """An aind_data_schema of ours in front of the real one; returns the environment for it."""
    package = capsule.root / "broken" / "aind_data_schema"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "core" / "__init__.py").write_text("")
    (package / "core" / "processing.py").write_text(body)
    paths = [str(package.parent), capsule.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


ENDINGS = {
    "success": (("true",), (), None),
    "fail": ((PY, "-c", "raise ValueError('no spikes')"), (), "ValueError: no spikes"),
    "lines": ((PY, "-c", "raise ValueError('no\\n\\n  spikes')"), (), "ValueError: no\n\n  spikes"),
    "killed": (("sh", "-c", "kill -9 $$"), (), "killed by SIGKILL (out of memory, a time limit"),
    "timeout": (("sleep", "60"), ("--timeout", "0.2"), "Timeout"),
    "not found": (("./no-such-program",), (), "NotFound"),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_every_end_has_its_record(capsule: Capsule, how: str) -> None:
    """Success, failure, a killed child, a timeout, no program: one valid record that tells it."""
    command, options, told = ENDINGS[how]
    run = capsule.run(*command, options=("--process-name", "spike-sorting", *options))
    record = _read_record(capsule)
    content = capsule.run_json()
    assert record["process_type"] == "Spike sorting"
    assert record["name"] == f"spike-sorting_{content['run_id']}"
    assert record["start_date_time"].rstrip("Z")[:19] == content["started_at"][:19]
    assert run.canonical["run_id"] == content["run_id"]
    assert content["data_process"]["file"] == _find_records(capsule)[0].name
    if told is None:
        assert "notes" not in record
    else:
        assert told.lower() in record["notes"].lower()


def test_a_stopped_run_has_its_record(capsule: Capsule) -> None:
    """SIGTERM to the wrapper: the record is there, and says that the run was stopped."""
    process = capsule.start("sh", "-c", "echo up; sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert capsule.finish(process).status == 143
    assert "was stopped" in _read_record(capsule)["notes"]


def test_a_lost_run_has_its_edges(tmp_path: Path, capsule: Capsule) -> None:
    """A wrapper that is killed: its inputs, the links in a folder and run.json copies, are told all the same."""
    linked = write_run(tmp_path / "work", ID_A, "linked")
    (capsule.data / "in").mkdir()
    (capsule.data / "in" / "d").symlink_to(linked)
    copied = {**RUN, "run_id": ID_B, "process_name": "copied"}
    write_json(capsule.data / "copies" / f"{ID_B}.run.json", copied)

    def is_told() -> bool:
        told = [json.loads(path.read_bytes()) for path in capsule.scratch.rglob("*.run.json")]
        return any(run.get("parents") for run in told)

    process = capsule.start("sleep", "60")
    wait_until(is_told)
    process.kill()
    process.communicate(timeout=30)
    graph = read_graph(tmp_path / "work", capsule.scratch)
    assert graph == {"copied": [], "linked": [], "sleep": ["copied", "linked"]}


def test_a_run_of_python_alone_has_its_record(capsule: Capsule) -> None:
    """`capsule_run` without the wrapper: the same, with its metrics and parameters."""
    script = (
        "from aind_capsule import capsule_run\n"
        "with capsule_run(process_name='spike-sorting') as run:\n"
        "    run.log_parameters({'threshold': 5})\n"
        "    run.log_metric('units', 42)\n"
        "    raise SystemExit(3)\n"
    )
    done = subprocess.run(
        [PY, "-c", script], cwd=capsule.code, env=capsule.environ, capture_output=True, check=False
    )
    assert done.returncode == 3, done.stderr
    record = _read_record(capsule)
    assert record["code"]["parameters"] == {"threshold": 5}
    assert record["output_parameters"] == {"units": 42}
    assert "exit status 3" in record["notes"]


def test_what_settings_and_platform_tell(capsule: Capsule) -> None:
    """The record holds what the settings say, and nothing is missing then."""
    run = capsule.run(
        "true",
        env={
            "PIPELINE_NAME": "ephys",
            "CAPSULE_EXPERIMENTERS": "Ada Lovelace, Grace Hopper",
            "CAPSULE_PROVENANCE__PROCESS_TYPE": "ephys curation",
            "CAPSULE_PROVENANCE__CODE_URL": "https://example.org/x",
            "CAPSULE_PROVENANCE__CODE_VERSION": "1.2",
            "CAPSULE_PROVENANCE__CONTAINER": "aind/x:3",
            "CAPSULE_PROVENANCE__STAGE": "analysis",
        },
    )
    record = _read_record(capsule)
    assert record["process_type"] == "Ephys curation"
    assert record["stage"] == "Analysis"
    assert record["pipeline_name"] == "ephys"
    assert record["experimenters"] == ["Ada Lovelace", "Grace Hopper"]
    assert record["code"]["url"] == "https://example.org/x"
    assert record["code"]["version"] == "1.2"
    assert record["code"]["container"]["tag"] == "3"
    assert capsule.run_json()["data_process"]["gaps"] == []
    assert b"data_process" not in run.stderr


def _commit_code(capsule: Capsule) -> str:
    """Have the capsule's folder as a checkout of one commit; returns the commit."""
    capsule.write("run", "#!/bin/sh\n")
    git = ["git", "-C", str(capsule.root), "-c", "user.name=a", "-c", "user.email=b"]
    first = ["commit", "-q", "-m", f"first in {capsule.root}"]
    for words in (["init", "-q"], ["add", "code/run"], first):
        subprocess.run([*git, *words], check=True, env=capsule.environ)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
@pytest.mark.parametrize("schema", ["2", "1"])
def test_a_changed_checkout_is_not_its_commit(capsule: Capsule, schema: str) -> None:
    """The version, the notes and a WARNING at the end of the run say it, in both forms."""
    commit = _commit_code(capsule)
    env = {"CAPSULE_PROVENANCE__SCHEMA_VERSION": schema}
    clean = capsule.run("./run", env=env)
    assert b"changed after" not in clean.stderr
    capsule.write("run", "#!/bin/sh\nexit 3\n")
    run = capsule.run("./run", env=env)
    (clean_path, path) = sorted(_find_records(capsule), key=lambda path: path.stat().st_mtime_ns)
    assert "dirty" not in clean_path.read_text()
    record = json.loads(path.read_text())
    version = record["code"]["version"] if schema == "2" else record["code_version"]
    assert version == f"{commit[:12]}-dirty"
    assert "The code was changed after this commit" in record["notes"].splitlines()
    assert commit in (record["code"]["commit_hash"] if schema == "2" else record["notes"])
    warnings_ = [entry["message"] for entry in run.records if entry["level"] == "WARNING"]
    assert warnings_ == [
        f"The code was changed after this commit: {commit[:12]}. It is recorded as {version}"
    ]
    assert b"WARNING  The code was changed after this commit" in run.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_a_changed_checkout_in_python_alone(capsule: Capsule) -> None:
    """`capsule_run` without the wrapper says it too."""
    _commit_code(capsule)
    capsule.write("run", "changed")
    script = "from aind_capsule import capsule_run\nwith capsule_run(): pass\n"
    done = subprocess.run(
        [PY, "-c", script], cwd=capsule.code, env=capsule.environ, capture_output=True, check=True
    )
    assert b"WARNING  The code was changed after this commit" in done.stderr
    assert "The code was changed after this commit" in _read_record(capsule)["notes"]


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
@pytest.mark.parametrize("where", ["elsewhere", "inside"])
def test_the_repository_of_the_file_that_runs(capsule: Capsule, where: str) -> None:
    """A script of another checkout than the working directory's is of that one's commit."""
    around = _commit_code(capsule)
    other = Capsule((capsule.root.parent if where == "elsewhere" else capsule.code) / "other")
    own = _commit_code(other)
    assert capsule.run("sh", str(other.code / "run")).canonical["code"]["commit"] == own
    assert capsule.run("sh", "./run").canonical["code"]["commit"] == around
    assert capsule.run("true").canonical["code"]["commit"] == around
    loose = capsule.root.parent / "loose"
    loose.write_text("")
    assert "code" not in capsule.run("sh", str(loose)).canonical


ASSET = "ecephys_699847_2024-04-17_12-12-44"


@pytest.mark.parametrize(
    ("folder", "is_task", "names"),
    [
        ("data/ecephys_session", False, [ASSET, "job.json"]),
        ("data/ecephys_session", True, [ASSET]),
        ("data", False, [ASSET]),
        ("data", True, [ASSET]),
    ],
)
def test_inputs_go_by_the_names_of_assets(
    capsule: Capsule, folder: str, is_task: bool, names: list[str]
) -> None:
    """Not by the mount's; /data itself is one asset; in a task what came before is none."""
    description = {"name": ASSET, "subject_id": "699847", "data_level": "raw"}
    (capsule.data / "job.json").write_text("{}")
    write_json(capsule.root / folder / "data_description.json", description)
    env = {"CAPSULE_RUN_FILES": "run,provenance"}
    capsule.run("true", env={**env, "NXF_TASK_WORKDIR": str(capsule.root)} if is_task else env)
    assert [asset["name"] for asset in _read_record(capsule)["code"]["input_data"]] == names


def test_what_the_image_says_of_the_code(capsule: Capsule) -> None:
    """`VERSION` and `CODE_URL` are in the record, whose notes say where they are from: no warning."""
    run = capsule.run("true", env={"VERSION": "0.3.1", "CODE_URL": "https://h/sorter"})
    record = _read_record(capsule)
    assert (record["code"]["version"], record["code"]["url"]) == ("0.3.1", "https://h/sorter")
    told = "Of the code, the image says this by its variables: VERSION, CODE_URL"
    assert record["notes"] == told
    assert b"WARNING" not in run.stderr
    assert b"code_version" not in run.stderr


def test_sources_that_disagree_are_told(capsule: Capsule) -> None:
    """In the notes, and as a WARNING at the end of the run."""
    stamp = {"version": "0.2", "url": "https://h/sorter"}
    (capsule.code / ".capsule-version.json").write_text(json.dumps(stamp))
    run = capsule.run("true", env={"VERSION": "0.3.1", "CODE_URL": "https://h/sorter.git"})
    record = _read_record(capsule)
    assert record["code"]["version"] == "0.2"
    assert record["notes"].startswith("The code's version differs by source: 0.2 (")
    assert b"WARNING  The code's version differs by source: 0.2 (" in run.stderr


@pytest.mark.parametrize(
    ("env", "counts"),
    [
        ({"CO_CAPSULE_ID": "c"}, False),
        ({"CO_CAPSULE_ID": "c", "CO_PIPELINE_ID": "p"}, True),
        ({"CO_CAPSULE_ID": "c", "CAPSULE_PIPELINE_URL": "https://h/stated"}, True),
    ],
)
def test_a_pipelines_url_in_the_image(capsule: Capsule, env: dict[str, str], counts: bool) -> None:
    """In a plain run on the platform it is no pipeline's: it is left out, and that is told."""
    run = capsule.run("true", env={**env, "PIPELINE_URL": "https://h/baked"})
    assert ("url" in capsule.run_json()["pipeline"]) is counts
    assert (b"PIPELINE_URL does not count" in run.stderr) is not counts
    record = "".join(path.read_text() for path in _find_records(capsule))
    assert "baked" not in record


@pytest.mark.parametrize("name", ["Apptainer", "Singularity"])
def test_a_run_in_an_image_of_a_file(capsule: Capsule, name: str) -> None:
    """What runs the container is named, the image by its file, and no tag is made up."""
    run = capsule.run("true", env={f"{name.upper()}_CONTAINER": "/images/ephys_0.1.2.sif"})
    container = _read_record(capsule)["code"]["container"]
    assert (container["container_type"], container["uri"], container["tag"]) == (
        name, "/images/ephys_0.1.2.sif", "unknown",
    )  # fmt: skip
    assert b"provenance.container" not in run.stderr


def test_what_is_missing_is_said_with_its_setting(capsule: Capsule) -> None:
    """Who has set nothing is told once what the record lacks, and which setting tells it."""
    run = capsule.run("true")
    said = [line for line in run.stderr.decode().splitlines() if "data_process.json" in line]
    assert len(said) == 1
    for name in ("provenance.process_type", "provenance.code_url", "experimenters"):
        assert name in said[0]
    settings = {gap["setting"] for gap in capsule.run_json()["data_process"]["gaps"]}
    assert settings - {"provenance.container"} == {  # where the tests run in one
        "provenance.process_type", "provenance.code_url", "provenance.code_version", "experimenters",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["data_process.json", "deep/qc_data_process_1.json", "processing.json", "x_processing.json"]
)  # fmt: skip
def test_the_processing_s_own_record_stands(capsule: Capsule, name: str) -> None:
    """Where the processing writes one itself ours is withheld, and that is said."""
    whole = {"data_processes": [RECORD]} if name.endswith("processing.json") else RECORD
    script = f"mkdir -p ../results/deep; echo '{json.dumps(whole)}' > ../results/{name}"
    run = capsule.run("sh", "-c", script)
    assert run.status == 0
    assert name.encode() in run.stderr
    assert capsule.run_json()["data_process"] == {"withheld_for": name}
    assert [path.name for path in _find_records(capsule)] == (
        [os.path.basename(name)] if name.endswith("_data_process.json") else []
    )


def test_a_file_that_is_only_named_like_a_record(capsule: Capsule) -> None:
    """What is no DataProcess and no Processing withholds nothing, whatever it is called."""
    for folder, text in enumerate(NO_RECORDS):
        (capsule.root / "given" / str(folder)).mkdir(parents=True)
        for name in ("data_process.json", "processing.json"):
            (capsule.root / "given" / str(folder) / name).write_text(text)
    os.mkfifo(capsule.root / "given" / "x_processing.json")
    (capsule.root / "given" / "y_processing.json").symlink_to("nowhere")
    capsule.run("mv", "../given", "../results")
    content = capsule.run_json()["data_process"]
    assert "withheld_for" not in content
    own = capsule.results / content["file"]
    assert own.is_file()
    assert is_data_process(json.loads(own.read_text()))


@pytest.mark.parametrize("name", ["{}", "{}/x"])
def test_the_search_for_it_ends(tmp_path: Path, name: str) -> None:
    """Time that is over, or a second signal, ends the search, also where there is not one file."""
    for number in range(1000):
        path = tmp_path / name.format(number)
        path.parent.mkdir(exist_ok=True)
        path.mkdir()
    with pytest.raises(TimeoutError):
        find_own_record(str(tmp_path), 0.0, lambda _: False)
    with pytest.raises(TimeoutError):
        find_own_record(str(tmp_path), 60.0, lambda _: True)
    assert find_own_record(str(tmp_path), 60.0, lambda _: False) is None


def test_a_run_file_of_an_earlier_run_withholds_nothing(capsule: Capsule) -> None:
    """A second run into the same results writes its own record beside the first one's."""
    capsule.run("true")
    capsule.run("true")
    assert len(_find_records(capsule)) == 2


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (BROKEN, "built for another pydantic"),
        ("class DataProcess: model_fields = {}", "older than 2"),
        ("import os; os._exit(9)", "without a word"),
    ],
)
def test_a_schema_that_is_broken(capsule: Capsule, body: str, told: str) -> None:
    """A schema that cannot be imported, or is another: said once; the run and its files stand."""
    env = _break_schema(capsule, body)
    assert (
        capsule.run("true", env=env, options=("--strict", "--run-files", "provenance")).status == 0
    )
    run = capsule.run("sh", "-c", "exit 7", env=env, options=("--strict",))
    assert run.status == 7
    assert told in run.stderr.decode()
    assert told in capsule.run_json()["data_process"]["problem"]
    assert run.canonical["exit_code"] == 7
    assert sorted(path.name.split(".", 1)[1] for path in capsule.results.iterdir()) == [
        "log.jsonl", "run.json",
    ]  # fmt: skip


def test_a_schema_that_hangs_is_not_waited_for_after_a_stop(capsule: Capsule) -> None:
    """A stop while the record is being made ends its making; status and files are as ever."""
    mark = capsule.root / "importing"
    body = f"import pathlib, time; pathlib.Path({str(mark)!r}).touch(); time.sleep(600)"
    process = capsule.start("sh", "-c", "exit 7", env=_break_schema(capsule, body))
    wait_until(mark.exists)
    process.send_signal(signal.SIGTERM)
    run: Finished = capsule.finish(process, timeout_s=15)
    assert run.status == 7
    assert run.canonical["exit_code"] == 7
    assert "no time" in capsule.run_json()["data_process"]["problem"]


def test_version_1_needs_no_schema(capsule: Capsule) -> None:
    """`schema_version = 1` writes the older form, also where the schema is broken."""
    env = {"CAPSULE_PROVENANCE__SCHEMA_VERSION": "1", **_break_schema(capsule, BROKEN)}
    capsule.run("sh", "-c", "exit 7", env=env, options=("--process-name", "dff-estimation"))
    (path,) = _find_records(capsule)
    record = json.loads(path.read_bytes())
    assert record["name"] == "dF/F estimation"
    assert "exit status 7" in record["notes"]
    assert find_faults(record) == []


@pytest.mark.parametrize("run_files", [None, "log,run", "none"])
def test_where_it_is_not_wanted_nothing_is_imported(
    capsule: Capsule, run_files: str | None
) -> None:
    """Inside a pipeline, or where run files leave it out, none is made: `run.json` has all of it."""
    mark = capsule.root / "imported"
    env = _break_schema(capsule, f"import pathlib; pathlib.Path({str(mark)!r}).touch()")
    if run_files is None:
        env["NXF_TASK_WORKDIR"] = str(capsule.root)
    else:
        env["CAPSULE_RUN_FILES"] = run_files
    capsule.run("true", env=env, options=("--process-name", "spike-sorting"))
    content = capsule.run_json()
    assert "data_process" not in content
    assert "schema_version" in content["provenance"]
    assert not list(capsule.root.rglob("*_data_process.json"))
    assert not mark.exists()


def test_a_run_that_is_asked_for_inside_a_pipeline_has_it(capsule: Capsule) -> None:
    """`run_files = run,provenance` of a pipeline's owner: both are in results, without a name."""
    env = {"NXF_TASK_WORKDIR": str(capsule.root), "CAPSULE_RUN_FILES": "run,provenance"}
    capsule.run("true", env=env, options=("--process-name", "spike-sorting"))
    run_id = capsule.run_json()["run_id"]
    assert sorted(path.name for path in capsule.results.iterdir()) == [
        f"{run_id}.run.json", f"{run_id}_data_process.json",
    ]  # fmt: skip
    assert _read_record(capsule)["name"] == f"spike-sorting_{run_id}"


def test_results_that_cannot_be_written_cost_no_import(capsule: Capsule) -> None:
    """Where results have gone there is none: it would have nowhere to go."""
    mark = capsule.root / "imported"
    env = _break_schema(capsule, f"import pathlib; pathlib.Path({str(mark)!r}).touch()")
    assert capsule.run("rm", "-rf", "../results", env=env).status == 0
    assert not mark.exists()


def test_secrets_reach_no_record(capsule: Capsule) -> None:
    """What is redacted in `run.json` is redacted in the record made of it."""
    capsule.run("echo", "--token", "s3cr3t-value", env={"CAPSULE_LOKI__PASSWORD": "s3cr3t-value"})
    (path,) = _find_records(capsule)
    assert b"s3cr3t-value" not in path.read_bytes()
