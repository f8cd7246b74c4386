"""`capsule provenance collect` on what real runs left: tasks on a shared disk, copies, failures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import build_environ

PY = sys.executable


class Pipeline:
    """Tasks as an engine makes them: a folder each, inputs as links into the others' results."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        self.output = root / "output"
        self.output.mkdir(parents=True)
        self.environ = build_environ(root)
        del self.environ["CAPSULE_RUN_FILES"]
        self.count = 0

    def run(
        self,
        name: str,
        script: str = "echo {} > ../results/{}.out",
        inputs: tuple[Path, ...] = (),
        *,
        copies: bool = False,
        **env: str,
    ) -> Path:
        """Run one task; returns its results."""
        self.count += 1
        task = self.work / f"{self.count:02x}" / f"{self.count:030x}"
        for kind in ("code", "data", "results", "scratch"):
            (task / "capsule" / kind).mkdir(parents=True)
        data = task / "capsule" / "data"
        for path in inputs:
            for entry in sorted(path.iterdir()):
                if entry.name.startswith("."):
                    continue
                if copies:
                    shutil.copy2(entry, data / entry.name)
                else:
                    (data / entry.name).symlink_to(entry.resolve())
        command = f"{PY} -m aind_capsule run --console off -- sh -c '{script.replace('{}', name)}'"
        (task / ".command.sh").write_text(f"cd capsule/code\n{command}\n")
        environ = {**self.environ, "PROCESS_NAME": name, **env}
        subprocess.run(
            ["bash", ".command.sh"], cwd=task, env=environ, capture_output=True, check=False
        )
        return task / "capsule" / "results"

    def collect(self, *folders: Path, options: tuple[str, ...] = (), status: int = 0) -> str:
        """Collect; returns what was said on stderr."""
        where = [str(folder) for folder in folders or (self.work,)]
        command = [
            PY,
            "-m",
            "aind_capsule",
            "provenance",
            "collect",
            *where,
            "--output",
            self.output,
        ]
        done = subprocess.run(
            [*command, *options], env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stderr

    def read(self) -> dict[str, Any]:
        """The processing.json that was collected."""
        return dict(json.loads((self.output / "processing.json").read_text()))

    def graph(self) -> dict[str, list[str]]:
        """Its dependency graph, with the runs' ids cut off the names."""
        return {
            _cut(name): sorted(map(_cut, parents))
            for name, parents in self.read()["dependency_graph"].items()
        }


def _cut(name: str) -> str:
    return name.partition("_2")[0]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """A pipeline in a temporary folder."""
    return Pipeline(tmp_path)


def test_a_pipeline_from_its_work_folder(pipeline: Pipeline) -> None:
    """With nothing in results, the runs' folders and the links between tasks tell the whole graph."""
    split = pipeline.run("split")
    left = pipeline.run("left", inputs=(split,))
    right = pipeline.run("right", inputs=(split,))
    pipeline.run("join", inputs=(left, right))
    pipeline.run("alone")
    assert [p.name for p in split.iterdir()] == ["split.out"]
    pipeline.collect()
    assert pipeline.graph() == {
        "split": [], "left": ["split"], "right": ["split"], "join": ["left", "right"], "alone": [],
    }  # fmt: skip


@pytest.mark.parametrize("copies", [False, True])
def test_a_pipeline_from_its_last_results(pipeline: Pipeline, *, copies: bool) -> None:
    """With `run,provenance` in results the last capsule's inputs tell all, however they are staged."""
    env = {"CAPSULE_RUN_FILES": "run,provenance"}
    first = pipeline.run("first", **env)
    left = pipeline.run("left", inputs=(first,), copies=copies, **env)
    right = pipeline.run("right", inputs=(first,), copies=copies, **env)
    last = pipeline.run("last", inputs=(left, right), copies=copies, **env)
    published = pipeline.root / "published"
    shutil.copytree(last, published)
    shutil.rmtree(pipeline.work)
    pipeline.collect(published)
    assert pipeline.graph() == {
        "first": [], "left": ["first"], "right": ["first"], "last": ["left", "right"],
    }  # fmt: skip


def test_copied_inputs_are_known_by_name(pipeline: Pipeline) -> None:
    """Where inputs are copies and results hold no run file, the entries' names tell whose they are."""
    first = pipeline.run("first")
    pipeline.run("second", inputs=(first,), copies=True)
    pipeline.collect()
    assert pipeline.graph() == {"first": [], "second": ["first"]}


def test_a_step_that_failed_is_there(pipeline: Pipeline) -> None:
    """A failed task and its repetition are two steps; the first one's notes say how it failed."""
    first = pipeline.run("first")
    pipeline.run("second", script="exit 3", inputs=(first,))
    pipeline.run("second", inputs=(first,))
    pipeline.collect()
    processes = {process["name"]: process for process in pipeline.read()["data_processes"]}
    failed = [
        process for process in processes.values() if "exit status 3" in process.get("notes", "")
    ]
    assert len(processes) == 3
    assert len(failed) == 1
    assert all(graph in ([], ["first"]) for graph in pipeline.graph().values())


def test_a_lost_run_is_there(pipeline: Pipeline) -> None:
    """A wrapper that was killed has left no end: the step stays, and its notes say it."""
    before = pipeline.run("before")
    pipeline.run("first", script="kill -9 $PPID; sleep 1", inputs=(before,))
    pipeline.collect()
    assert pipeline.graph() == {"before": [], "first": ["before"]}
    (process,) = [p for p in pipeline.read()["data_processes"] if p["name"].startswith("first")]
    assert "lost" in process["notes"]
    assert "end_date_time" not in process


@pytest.mark.parametrize("damage", ["torn", "missing"])
def test_a_run_without_its_run_json(pipeline: Pipeline, damage: str) -> None:
    """The log alone tells of the step; a torn file is named with the reason."""
    pipeline.run("first", script="exit 3")
    (path,) = pipeline.work.rglob("*.run.json")
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:200])
    else:
        path.unlink()
    said = pipeline.collect()
    (process,) = pipeline.read()["data_processes"]
    assert "Only the log" in process["notes"]
    assert "exit status 3" in process["notes"]
    assert (str(path) in said) == (damage == "torn")


def test_own_records_stand_for_their_run(pipeline: Pipeline) -> None:
    """What a capsule records itself takes the run's place in the graph, forwarded records do not."""
    record = {
        "process_type": "Spike sorting", "name": "Kilosort", "stage": "Processing",
        "code": {"url": "https://example.org"}, "experimenters": ["Ada"],
    }  # fmt: skip
    script = (
        f"import datetime, json; record = {record!r}\n"
        "now = datetime.datetime.now(datetime.timezone.utc).isoformat()\n"
        "record['start_date_time'] = record['end_date_time'] = now\n"
        "json.dump(record, open('../results/data_process.json', 'w'))\n"
    )
    (pipeline.root / "sort.py").write_text(script)
    before = pipeline.run("before")
    sort = pipeline.run("sort", script=f"{PY} {pipeline.root}/sort.py", inputs=(before,))
    after = pipeline.run("after", script="cp ../data/data_process.json ../results/copy_data_process.json",
                         inputs=(sort,))  # fmt: skip
    pipeline.run("last", inputs=(after,))
    pipeline.collect()
    assert pipeline.graph() == {
        "before": [], "Kilosort": ["before"], "after": ["Kilosort"], "last": ["after"],
    }  # fmt: skip


def test_a_run_that_failed_after_its_own_record(pipeline: Pipeline) -> None:
    """The record stands, and so does the step that tells of the failure."""
    now = "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    record = f'{{"process_type": "Spike sorting", "code": {{"url": "u"}}, "start_date_time": "{now}", "stage": "Processing", "experimenters": []}}'  # fmt: skip
    (pipeline.root / "s.sh").write_text(
        f"cat > ../results/data_process.json <<E\n{record}\nE\nexit 4\n"
    )
    pipeline.run("sort", script=f"sh {pipeline.root}/s.sh")
    pipeline.collect()
    notes = {_cut(p["name"]): p.get("notes", "") for p in pipeline.read()["data_processes"]}
    assert notes.keys() == {"Spike sorting", "sort"}
    assert "exit status 4" in notes["sort"]


def test_the_pipeline_is_named(pipeline: Pipeline) -> None:
    """PIPELINE_* of the tasks, or of the one who collects, are in `pipelines` and in each step."""
    pipeline.run("first")
    said = pipeline.collect()
    for name in ("PIPELINE_NAME", "PIPELINE_VERSION", "PIPELINE_URL"):
        assert name in said
    assert "pipelines" not in pipeline.read()
    pipeline.environ |= {"PIPELINE_NAME": "ephys", "PIPELINE_VERSION": "2"}
    said = pipeline.collect()
    assert "set PIPELINE_URL where" in said
    processing = pipeline.read()
    assert processing["data_processes"][0]["pipeline_name"] == "ephys"
    assert [(p["name"], p["version"], p["url"]) for p in processing["pipelines"]] == [
        ("ephys", "2", "unknown")
    ]
    pipeline.run("second", PIPELINE_URL="https://example.org/ephys")
    assert "PIPELINE" not in pipeline.collect()
    assert [p["url"] for p in pipeline.read()["pipelines"]] == ["https://example.org/ephys"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a process 1 of its own")
@pytest.mark.parametrize(
    ("more", "script", "counts"),
    [
        ({}, "{}", False),
        ({}, "PIPELINE_URL=https://h/stated {}", True),
        ({"CAPSULE_PIPELINE_URL": "https://h/stated"}, "{}", True),
        ({"PIPELINE_NAME": "ephys"}, "{}", True),
    ],
)
def test_the_url_of_the_collecting_image(
    pipeline: Pipeline, more: dict[str, str], script: str, counts: bool
) -> None:
    """What a container was started with is the image's, unless somebody states it, or a name too."""
    pipeline.run("first")
    words = f"{PY} -m aind_capsule provenance collect {pipeline.work} --output {pipeline.output}"
    baked = {"container": "docker", "PIPELINE_URL": "https://h/baked"}
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", f"{script.format(words)}; true"],
        env={**pipeline.environ, **baked, **more}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr:
        pytest.skip("namespaces cannot be made here")
    told = "PIPELINE_URL does not count: the image sets it (https://h/baked), no pipeline"
    assert (told not in done.stderr) is counts
    missing = done.stderr.partition(": set ")[2].partition(" where")[0].split(", ")
    assert ("PIPELINE_URL" not in missing) is counts


def test_collected_twice(pipeline: Pipeline) -> None:
    """A second time gives the same, also where the first result is among the folders."""
    first = pipeline.run("first")
    pipeline.run("second", inputs=(first,))
    pipeline.collect(pipeline.work, pipeline.output)
    once = pipeline.read()
    pipeline.collect(pipeline.work, pipeline.output)
    assert pipeline.read() == once
    other = pipeline.root / "other"
    shutil.copytree(pipeline.output, other)
    pipeline.collect(pipeline.work, other)
    assert pipeline.read()["dependency_graph"] == once["dependency_graph"]


def test_a_file_of_others_is_not_replaced(pipeline: Pipeline) -> None:
    """A `processing.json` that is not ours stands unless --overwrite is given; nothing of it is lost."""
    theirs = Path(pipeline.output, "processing.json")
    process = {
        "process_type": "Compression", "stage": "Processing", "code": {"url": "u"}, "experimenters": [],
        "name": "Compression", "start_date_time": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    theirs.write_text(
        json.dumps(
            {"data_processes": [process], "dependency_graph": {"Compression": ["Compression"]}}
        )
    )
    before = theirs.read_bytes()
    pipeline.run("first")
    assert "--overwrite" in pipeline.collect(status=2)
    assert theirs.read_bytes() == before
    pipeline.collect(pipeline.work, pipeline.output, options=("--overwrite",))
    assert pipeline.graph() == {"Compression": [], "first": []}


def test_nothing_to_collect(pipeline: Pipeline) -> None:
    """Without any run it says so, and how a pipeline's results get them."""
    pipeline.work.mkdir()
    said = pipeline.collect(status=1)
    assert 'env.CAPSULE_RUN_FILES = "run,provenance"' in said
    assert "cannot be used" in pipeline.collect(pipeline.root / "no such", status=2)
    assert not os.listdir(pipeline.output)


def test_only_what_cannot_be_read(pipeline: Pipeline) -> None:
    """A folder that holds one torn file: it is named with the reason, and stays as a step."""
    path = pipeline.work / "20260101T000000-0123abcd.run.json"
    path.parent.mkdir()
    path.write_text('{"run_id": ')
    assert str(path) in pipeline.collect()
    assert len(pipeline.read()["data_processes"]) == 1
    path.rename(path.with_name("x_processing.json"))
    assert "x_processing.json was not taken" in pipeline.collect(status=1)


def test_a_write_that_fails(pipeline: Pipeline) -> None:
    """A folder where the file should be: said, and no part of a file is left."""
    pipeline.run("first")
    (pipeline.output / "processing.json").mkdir()
    pipeline.collect(options=("--overwrite",), status=1)
    assert os.listdir(pipeline.output) == ["processing.json"]


def test_without_a_schema(pipeline: Pipeline) -> None:
    """Where aind-data-schema cannot be imported nothing is written, and it says what to install."""
    pipeline.run("first")
    package = pipeline.root / "broken" / "aind_data_schema"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('another pydantic')")
    paths = [str(package.parent), pipeline.environ.get("PYTHONPATH", "")]
    pipeline.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    said = pipeline.collect(status=1)
    assert "another pydantic" in said
    assert "aind-capsule[metadata]" in said
    assert not os.listdir(pipeline.output)


def test_odd_words(pipeline: Pipeline) -> None:
    """A label that can be in no name, and a folder that is a file: usage, with the value."""
    pipeline.run("first")
    assert "'a b'" in pipeline.collect(options=("--label", "a b"), status=2)
    file = pipeline.root / "file"
    file.touch()
    assert "not a folder" in pipeline.collect(file, status=2)
