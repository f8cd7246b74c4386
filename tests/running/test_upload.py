"""`capsule run --upload`: the results become an asset, and nothing of it harms the run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from aind_data_schema.core.data_description import DataDescription
from aind_data_schema.core.processing import DataProcess

from aind_capsule.records.canonical import holds_canonical, is_canonical
from tests.conftest import Capsule, Finished, check_log_is_sound, parse_strictly, wait_until
from tests.running.terminal import Terminal
from tests.storage.conftest import credentials, proxy, s3, servers  # noqa: F401
from tests.storage.proxy import FaultyProxy, Request, answer
from tests.storage.servers import Server

RAW = "ecephys_123456_2024-04-17_12-12-44"
DESCRIPTION = {
    "schema_version": "2.0.0", "name": RAW, "subject_id": "123456", "creation_time": "2024-04-17T12:12:44Z",
    "institution": {"name": "Allen Institute for Neural Dynamics", "abbreviation": "AIND", "registry": "Research Organization Registry (ROR)", "registry_identifier": "04szwah67"},
    "funding_source": [{"funder": {"name": "Allen Institute", "abbreviation": "AI", "registry": "Research Organization Registry (ROR)", "registry_identifier": "03cpe7c52"}}],
    "data_level": "raw", "investigators": [{"name": "A B"}], "project_name": "P", "modalities": [{"name": "Extracellular electrophysiology", "abbreviation": "ecephys"}],
}  # fmt: skip


class Uploading:
    """A capsule with an input asset, and a bucket that its results go to."""

    def __init__(self, capsule: Capsule, server: Server, proxy: FaultyProxy) -> None:  # noqa: F811
        self.capsule = capsule
        self.proxy = proxy
        self.bucket = server.make_bucket()
        self.client = server.make_client()
        (capsule.data / RAW).mkdir()
        (capsule.data / RAW / "data_description.json").write_text(json.dumps(DESCRIPTION))
        capsule.environ |= {
            name: value for name, value in os.environ.items() if name.startswith("AWS_")
        }
        capsule.environ |= {
            "CAPSULE_S3__ENDPOINT_URL": proxy.url,
            "CAPSULE_UPLOAD__URL": f"s3://{self.bucket}/assets",
        }

    def run(self, *command: str, **more: Any) -> Finished:
        """Run it."""
        return self.capsule.run(*command, **more)

    def read(self) -> dict[str, bytes]:
        """All objects by key."""
        rows = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return {
            row["Key"]: self.client.get_object(Bucket=self.bucket, Key=row["Key"])["Body"].read()
            for row in rows
        }

    def read_asset(self, place: str) -> tuple[str, dict[str, bytes]]:
        """The only asset below a place: its name and its objects."""
        found = {key.removeprefix(place): data for key, data in self.read().items()}
        names = {key.partition("/")[0] for key in found}
        assert len(names) == 1, names
        name = names.pop()
        return name, {key.removeprefix(f"{name}/"): data for key, data in found.items()}

    def resume(self) -> subprocess.CompletedProcess[str]:
        """What people type then."""
        return self.upload("--resume")

    def upload(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, in the code folder."""
        return subprocess.run([sys.executable, "-m", "aind_capsule", "upload", *words], cwd=self.capsule.code,
                              env=self.capsule.environ, text=True, capture_output=True, timeout=60, check=False)  # fmt: skip


@pytest.fixture
def uploading(capsule: Capsule, s3: Server, proxy: FaultyProxy) -> Iterator[Uploading]:  # noqa: F811
    yield Uploading(capsule, s3, proxy)


def test_progress_on_a_terminal(uploading: Uploading) -> None:
    """One line is written over while results are sent, and is gone before the end is shown."""
    (uploading.capsule.results / "a").write_bytes(b"x" * 1000)
    terminal = Terminal(uploading.capsule, uploading.capsule.get_command("sh", "-c", "printf end"))
    assert terminal.wait() == 0
    line, _, after = terminal.seen[terminal.seen.index(b"end\r\n") :].partition(b"\r\x1b[K")
    assert re.fullmatch(rb"(?s)end\r\n.*Uploading: \d of 2 files, .*", line), terminal.seen
    assert b"Uploading: 2 of 2 files, " in terminal.seen
    assert not after[after.rindex(b"\x1b[K") :].startswith(b"\x1b[KUploading"), terminal.seen
    log = uploading.capsule.find_log()
    assert log is not None
    assert b"Uploading" not in log.read_bytes()
    assert b"Uploading" not in uploading.run("true").stderr


@pytest.mark.slow
def test_progress_in_the_log(uploading: Uploading) -> None:
    """Once a minute a record tells how far it is."""
    for name in "abc":
        (uploading.capsule.results / name).write_bytes(b"x" * 1000)

    def hold(request: Request) -> None:
        if request.method == "PUT" and request.path.endswith(("/b", "/c")):
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > 31, 40)

    uploading.proxy.before = hold
    run = uploading.run("true", env={"CAPSULE_S3__MAX_CONCURRENCY": "1"}, timeout_s=150)
    assert run.status == 0, run.stderr
    (record,) = [row for row in run.records if row["message"].startswith("Uploading: ")]
    assert record["files"] == 4
    assert record["done_files"] >= 3
    assert record["bytes_per_s"] > 0


_LATE = """
import os, time
real = os.listdir
def listdir(path="."):
    while str(path) == {data!r} and not os.path.exists({go!r}):
        time.sleep(0.02)
    return real(path)
os.listdir = listdir
"""


@pytest.mark.parametrize("how", ["by its folder", pytest.param("resumed", marks=pytest.mark.slow)])
def test_inputs_that_are_known_late_and_tell_no_name(uploading: Uploading, how: str) -> None:
    """The data folder answers after 2 s: said while the processing runs, owed at its end, and the
    upload that is then given a name is whole: log, run.json, and a description that bears it."""
    capsule = uploading.capsule
    other = capsule.data / "behavior_654321_2024-05-17_12-12-44"
    other.mkdir()
    go, found = capsule.root / "go", capsule.root / "found"
    (capsule.code / "sitecustomize.py").write_text(_LATE.format(data=str(capsule.data), go=str(go)))
    path = os.pathsep.join([str(capsule.code), capsule.environ.get("PYTHONPATH", "")])
    script = f"touch {go}; while [ ! -e {found} ]; do sleep 0.05; done; echo x > ../results/a.csv"
    process = capsule.start("sh", "-c", script, env={"PYTHONPATH": path})

    def is_said() -> bool:
        log = capsule.find_log()
        return log is not None and b"Results will not be uploaded" in log.read_bytes()

    wait_until(is_said, 30)
    found.touch()
    run = capsule.finish(process)
    assert (run.status, run.canonical["error_type"]) == (74, "UploadError")
    assert "--asset-name NAME" in run.canonical["upload"]["problem"]
    assert uploading.read() == {}
    unnamed = uploading.resume()
    assert unnamed.returncode == 74
    assert f"capsule upload --resume {run.log.parent} --asset-name NAME" in unnamed.stderr
    shutil.rmtree(other)  # of two inputs it could not be derived
    words = ["--resume"] if how == "resumed" else ["../results", f"s3://{uploading.bucket}/assets"]
    named = uploading.upload(*words, "--asset-name", "chosen")
    assert named.returncode == 0, named.stderr
    name, objects = uploading.read_asset("assets/")
    assert (name, objects["a.csv"]) == ("chosen", b"x\n")
    assert json.loads(objects["data_description.json"])["name"] == "chosen"
    assert parse_strictly(_get(objects, ".log.jsonl").splitlines()[-1]) == run.canonical
    assert uploading.resume().stderr.strip() == "Nothing is owed."


def test_a_description_also_where_the_claim_failed(uploading: Uploading) -> None:
    """An upload that ended before its description was made makes it when it goes on."""
    uploading.proxy.decide = lambda request: (
        answer(403, "AccessDenied") if request.path.endswith(".claim") else None
    )
    run = uploading.run("true")
    assert run.status == 74
    uploading.proxy.decide = lambda request: None
    assert uploading.resume().returncode == 0
    name, objects = uploading.read_asset("assets/")
    assert json.loads(objects["data_description.json"])["name"] == name


def _get(objects: dict[str, bytes], ending: str) -> bytes:
    (name,) = [name for name in objects if name.endswith(ending)]
    return objects[name]


def test_results_become_an_asset(uploading: Uploading) -> None:
    """Results, whole log, run.json, provenance and a description that bears the name; manifest last."""
    run = uploading.run("sh", "-c", "mkdir -p ../results/a; echo x > ../results/a/b.csv; echo done")
    assert run.status == 0, run.stderr
    name, objects = uploading.read_asset("assets/")
    assert name.startswith(f"{RAW}_processed_20")
    assert objects["a/b.csv"] == b"x\n"
    log = _get(objects, ".log.jsonl").splitlines()
    assert parse_strictly(log[-1]) == run.canonical
    told = run.canonical["upload"]
    assert told["url"] == f"s3://{uploading.bucket}/assets/{name}"
    assert (told["files"], told["failures"]) == (2, 0)
    assert "committed" not in told
    manifest = json.loads(objects["manifest.json"])
    assert {row["key"] for row in manifest["files"]} == set(objects) - {"manifest.json", ".claim"}
    assert (
        manifest["run_id"]
        == manifest["source_run"]
        == json.loads(objects[".claim"])["run_id"]
        == run.canonical["run_id"]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        DataProcess.model_validate_json(_get(objects, "_data_process.json"))
        described = DataDescription.model_validate_json(objects["data_description.json"])
    assert (described.name, described.source_data) == (name, [RAW])
    assert json.loads(_get(objects, ".run.json"))["status"] == "success"
    assert uploading.capsule.run_json()["upload"]["committed"] is True
    puts = [request.path for request in uploading.proxy.seen if request.method == "PUT"]
    assert puts[0].endswith("/.claim")
    assert puts[-1].endswith("/manifest.json")
    assert not list(uploading.capsule.scratch.rglob("upload.sqlite*"))


@pytest.mark.parametrize(
    ("policy", "has_results", "ends"),
    [
        ("logs", False, (3, "fail", 3)),
        ("all", True, (3, "fail", 3)),
        ("never", None, (3, "fail", 3)),
        ("logs", False, (74, "fail", 0)),
    ],
)
def test_a_run_that_failed(
    uploading: Uploading,
    policy: str,
    has_results: bool | None,
    ends: tuple[int, str, int],
) -> None:
    """By policy: its run files, all, or nothing; below failed/, so that nobody takes it for an asset. A full stdout is a failure too."""
    script = f"echo x > ../results/b.csv; echo x; exit {ends[2]}"
    with open(os.devnull if ends[2] else "/dev/full", "wb") as stdout:
        run = uploading.run(
            "sh", "-c", script, stdout=stdout, env={"CAPSULE_UPLOAD__ON_FAILURE": policy}
        )
    assert (run.status, run.canonical["status"], run.canonical["exit_code"]) == ends
    if has_results is None:
        assert uploading.read() == {}
        return
    _, objects = uploading.read_asset("assets/failed/")
    assert ("b.csv" in objects) is has_results
    assert parse_strictly(_get(objects, ".log.jsonl").splitlines()[-1])["exit_code"] == ends[2]
    assert "manifest.json" in objects


def test_a_run_that_was_stopped(uploading: Uploading) -> None:
    """After a stop nothing is uploaded."""
    process = uploading.capsule.start("sh", "-c", "echo up; sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert uploading.capsule.finish(process).status == 143
    assert uploading.read() == {}


def _refuse(request: Request) -> tuple[int, bytes] | None:
    return answer(403, "AccessDenied") if request.method in ("PUT", "POST") else None


def test_no_rights_are_told_before_the_start(uploading: Uploading) -> None:
    """A definite refusal: 74, one canonical record, and the processing was never started.

    With the console off the reason is said all the same.
    """
    uploading.proxy.decide = _refuse
    run = uploading.run("sh", "-c", "echo started", options=("--console", "off"))
    assert (run.status, run.stdout) == (74, b"")
    assert run.stderr.decode() == f"capsule: {run.canonical['error_message']}\n"
    assert (run.canonical["status"], run.canonical["error_type"]) == ("fail", "UploadError")
    assert "exit_code" not in run.canonical
    assert "AccessDenied" in run.canonical["error_message"]


@pytest.mark.parametrize("how", ["said", "pipeline"])
def test_an_upload_that_is_not_required(uploading: Uploading, how: str) -> None:
    """It warns, and the processing runs and keeps its status: where that is said, and in a pipeline."""
    uploading.proxy.decide = _refuse
    env = {"CAPSULE_UPLOAD__REQUIRED": "false"} if how == "said" else {"CO_PIPELINE_ID": "p"}
    run = uploading.run("sh", "-c", "echo started", env=env)
    assert (run.status, run.stdout) == (0, b"started\n")
    assert run.canonical["status"] == "success"
    told = [record["message"] for record in run.records if record["level"] == "WARNING"]
    assert any("AccessDenied" in message for message in told)
    assert "AccessDenied" in run.canonical["upload"]["problem"]


def test_nobody_knows_its_name(uploading: Uploading) -> None:
    """No input asset: 78 before the start, with what to say; said, it is taken."""
    (uploading.capsule.data / RAW / "data_description.json").unlink()
    (uploading.capsule.data / RAW).rmdir()
    run = uploading.run("sh", "-c", "echo started")
    assert (run.status, run.stdout) == (78, b"")
    assert "--asset-name" in run.canonical["error_message"]
    run = uploading.run("true", options=("--asset-name", "mine"))
    assert run.status == 0, run.stderr
    name, objects = uploading.read_asset("assets/")
    assert name == "mine"
    assert "data_description.json" not in objects
    run = uploading.run("sh", "-c", "echo started", options=("--asset-name", "mine"))
    assert (run.status, run.stdout) == (74, b"")
    assert "whole" in run.canonical["error_message"]


def test_rights_that_go_during_the_run(uploading: Uploading) -> None:
    """The processing succeeded, the upload did not: 74, and --resume makes the asset whole."""
    uploading.proxy.decide = lambda request: (
        _refuse(request) if request.path.endswith("b.csv") else None
    )
    run = uploading.run("sh", "-c", "echo x > ../results/b.csv")
    assert run.status == 74
    canonical = run.canonical
    assert (canonical["status"], canonical["exit_code"], canonical["error_type"]) == (
        "fail",
        0,
        "UploadError",
    )
    assert uploading.capsule.run_json()["upload"]["committed"] is False
    assert not any(key.endswith("manifest.json") for key in uploading.read())
    uploading.proxy.decide = lambda request: None
    done = uploading.resume()
    assert done.returncode == 0, done.stderr
    _, objects = uploading.read_asset("assets/")
    assert objects["b.csv"] == b"x\n"
    assert parse_strictly(_get(objects, ".log.jsonl").splitlines()[-1]) == canonical
    assert "manifest.json" in objects
    assert "data_description.json" in objects


def test_a_manifest_that_fails(uploading: Uploading) -> None:
    """The canonical record stays; run.json and stderr say it; 74, and --resume makes it whole."""
    uploading.proxy.decide = lambda request: (
        _refuse(request) if request.path.endswith("manifest.json") else None
    )
    run = uploading.run("true")
    assert run.status == 74
    assert run.canonical["status"] == "success"
    assert b"not whole" in run.stderr
    told = uploading.capsule.run_json()["upload"]
    assert (told["committed"], "AccessDenied" in told["problem"]) == (False, True)
    uploading.proxy.decide = lambda request: None
    assert uploading.resume().returncode == 0
    assert "manifest.json" in uploading.read_asset("assets/")[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("UPLOAD__URL", "http://b"), ("S3__CHECKSUM", "md5"), ("UPLOAD__LABEL", "a/b")],
)
def test_a_wrong_setting(uploading: Uploading, name: str, value: str) -> None:
    """Of an upload that was asked for: 78 before the start."""
    run = uploading.run("sh", "-c", "echo started", env={f"CAPSULE_{name}": value})
    assert (run.status, run.stdout) == (78, b"")
    assert value in run.canonical["error_message"]


def test_a_wrong_setting_of_an_upload_that_nobody_wants(capsule: Capsule) -> None:
    """It is an ERROR, and the run goes on."""
    run = capsule.run("true", env={"CAPSULE_S3__CHECKSUM": "md5"})
    assert run.status == 0
    assert any(
        "s3.checksum" in record["message"] for record in run.records if record["level"] == "ERROR"
    )


@pytest.mark.slow
def test_a_server_that_is_silent(uploading: Uploading) -> None:
    """Not known before the start: a warning, and the processing runs; then 74, and the upload is owed."""
    uploading.proxy.decide = lambda request: "cut"
    uploading.capsule.environ["CAPSULE_S3__RETRY_FOR"] = "2"
    run = uploading.run("sh", "-c", "echo started", timeout_s=180)
    assert (run.status, run.stdout) == (74, b"started\n")
    assert any(
        "is not known" in record["message"]
        for record in run.records
        if record["level"] == "WARNING"
    )
    uploading.proxy.decide = lambda request: None
    assert uploading.resume().returncode == 0
    assert "manifest.json" in uploading.read_asset("assets/")[1]


def test_the_processings_own_description(uploading: Uploading) -> None:
    """It stays as it is, and its folder of results too: nothing of ours is added while it runs."""
    uploading.run(
        "sh",
        "-c",
        "echo '{}' > ../results/data_description.json; ls -A ../results > ../results/seen",
    )
    _, objects = uploading.read_asset("assets/")
    assert objects["data_description.json"] == b"{}\n"
    assert objects["seen"].split() == [b"data_description.json", b"seen"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_during_the_upload(uploading: Uploading, number: signal.Signals) -> None:
    """A stop is heard at once, a kill is survived: the upload is owed, and --resume makes it whole.

    The run's files then say how the processing ended, in the asset and here.
    """
    reached, go_on = threading.Event(), threading.Event()

    def before(request: Request) -> None:
        if request.path.endswith("b.csv"):
            reached.set()
            go_on.wait(30)

    uploading.proxy.before = before
    process = uploading.capsule.start("sh", "-c", "echo x > ../results/b.csv")
    assert reached.wait(60)
    process.send_signal(number)
    run = uploading.capsule.finish(process, timeout_s=20)
    go_on.set()
    uploading.proxy.before = lambda request: None
    assert not any(key.endswith("manifest.json") for key in uploading.read())
    if number == signal.SIGTERM:
        assert run.status == 74
        assert run.canonical["error_type"] == "UploadError"
    else:
        assert run.status == -signal.SIGKILL
    wait_until(
        lambda: (
            "another process" not in (done := uploading.resume()).stderr and done.returncode == 0
        )
    )
    name, objects = uploading.read_asset("assets/")
    assert objects["b.csv"] == b"x\n"
    lines = _get(objects, ".log.jsonl").splitlines()
    assert lines[: len(run.lines)] == run.lines
    records = [parse_strictly(line) for line in lines]
    check_log_is_sound(records)
    assert is_canonical(records[-1])
    if number == signal.SIGTERM:
        assert len(lines) == len(run.lines), "the record stays that tells how the wrapper ended"
    else:
        assert (records[-1]["status"], records[-1]["exit_code"]) == ("success", 0)
    url = f"s3://{uploading.bucket}/assets/{name}"
    told = json.loads(_get(objects, ".run.json"))
    assert (told["status"], told["exit_code"], told["upload"]["url"]) == ("success", 0, url)
    assert holds_canonical(told)
    assert not {"error_type", "error_message"} & told.keys()
    assert not {"committed", "problem"} & told["upload"].keys()
    here = uploading.capsule.run_json()
    assert (here["status"], here["upload"]["committed"]) == ("success", True)
    assert json.loads(objects["manifest.json"])["run_status"] == "success"


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_failed_run_that_is_resumed(uploading: Uploading, is_killed: bool) -> None:
    """Its files go on saying that it failed."""
    reached, go_on = threading.Event(), threading.Event()

    def before(request: Request) -> None:
        if request.path.endswith(".run.json" if not is_killed else ".claim"):
            reached.set()
            go_on.wait(30)

    uploading.proxy.before = before
    process = uploading.capsule.start("sh", "-c", "exit 3")
    assert reached.wait(60)
    process.send_signal(signal.SIGKILL if is_killed else signal.SIGTERM)
    uploading.capsule.finish(process, timeout_s=20)
    go_on.set()
    uploading.proxy.before = lambda request: None
    done = None

    def is_resumed() -> bool:
        nonlocal done
        done = uploading.resume()
        return "another process" not in done.stderr and done.returncode == 0

    wait_until(is_resumed)
    assert done is not None
    assert "ended with fail" in done.stderr
    _, objects = uploading.read_asset("assets/failed/")
    told = json.loads(_get(objects, ".run.json"))
    assert (told["status"], told["exit_code"]) == ("fail", 3)
    record = parse_strictly(_get(objects, ".log.jsonl").splitlines()[-1])
    assert (record["status"], record["exit_code"]) == ("fail", 3)
    assert json.loads(objects["manifest.json"])["run_status"] == "fail"


def test_the_name_of_an_input(uploading: Uploading) -> None:
    """Results never get it: 78 before the start, with a name that they may have."""
    run = uploading.run("sh", "-c", "echo started", options=("--asset-name", RAW))
    assert (run.status, run.stdout) == (78, b"")
    assert f"{RAW} is the name of an input asset" in run.canonical["error_message"]
    assert f"--asset-name {RAW}_processed_20" in run.canonical["error_message"]
    assert uploading.read() == {}


def test_scratch_inside_of_results(uploading: Uploading) -> None:
    """The run folder, which has the upload's own journal, is no part of the results."""
    scratch = uploading.capsule.results / "scratch"
    scratch.mkdir()
    script = "echo x > ../results/b.csv; echo x > ../results/scratch/c"
    run = uploading.run("sh", "-c", script, env={"CAPSULE_SCRATCH": str(scratch)})
    assert run.status == 0, run.stderr
    _, objects = uploading.read_asset("assets/")
    assert {"b.csv", "scratch/c", "manifest.json"} < set(objects)
    assert not any(".capsule" in key for key in objects)
    (left_out,) = json.loads(objects["manifest.json"])["left_out"]
    assert left_out["path"] == f"scratch/.capsule/{run.canonical['run_id']}"


def test_results_of_a_run_that_goes_on(uploading: Uploading) -> None:
    """`capsule upload` names it and sends nothing; the run's own upload is not in its way."""
    words = ("../results", f"s3://{uploading.bucket}/more", "--asset-name", "mine")
    go_on = uploading.capsule.root / "go"
    script = f"echo x > ../results/b.csv; echo up; while [ ! -e {go_on} ]; do sleep 0.05; done"
    process = uploading.capsule.start("sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    refused = uploading.upload(*words)
    go_on.touch()
    run = uploading.capsule.finish(process)
    assert (refused.returncode, run.status) == (74, 0)
    assert f"The run {run.canonical['run_id']}" in refused.stderr
    assert not any(key.startswith("more/") for key in uploading.read())
    assert uploading.upload(*words).returncode == 0


@pytest.mark.parametrize("change", ["emptied", "reused"])
def test_results_that_are_no_more_those_of_the_run(uploading: Uploading, change: str) -> None:
    """An owed upload does not go on with them; dropped, a new upload is made of what is there."""
    uploading.proxy.decide = lambda request: (
        _refuse(request) if request.path.endswith("b.csv") else None
    )
    run = uploading.run("sh", "-c", "echo x > ../results/b.csv; echo x > ../results/c.csv")
    assert run.status == 74
    uploading.proxy.decide = lambda request: None
    if change == "emptied":
        for path in uploading.capsule.results.iterdir():
            path.unlink()
    else:
        environ = {"CAPSULE_UPLOAD__URL": ""}
        uploading.run("sh", "-c", "echo y > ../results/b.csv", env=environ)
    refused = uploading.resume()
    assert refused.returncode == 74
    assert run.canonical["run_id"] in refused.stderr
    assert "capsule upload --drop" in refused.stderr
    assert not any(key.endswith("manifest.json") for key in uploading.read())
    dropped = uploading.upload("--drop", "../results")
    assert (dropped.returncode, "is forgotten" in dropped.stdout) == (0, True)
    assert uploading.resume().stderr == "Nothing is owed.\n"


def test_alone_nothing_is_uploaded(uploading: Uploading) -> None:
    """A run of a Python process alone says so."""
    code = "from aind_capsule import capsule_run\nwith capsule_run('x'): pass"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=uploading.capsule.code,
        env=uploading.capsule.environ,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    log = uploading.capsule.find_log()
    assert log is not None
    assert b"uploaded by `capsule run`" in log.read_bytes()
    assert uploading.read() == {}
