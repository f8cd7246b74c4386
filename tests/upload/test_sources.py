"""Whose files a folder holds: of runs that go on, that failed, of other runs than it was begun with."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.settings.load import load_settings
from aind_capsule.storage.addresses import parse_s3_url
from aind_capsule.upload.asset import Report
from aind_capsule.upload.jobs import do_job
from aind_capsule.upload.open_job import Job, OpenJob, make_job
from aind_capsule.upload.source_check import SourceError
from aind_capsule.upload.source_runs import SourceRun, find_source_runs, find_status
from tests.storage.proxy import FaultyProxy, answer
from tests.upload.assets import NOW, Uploader

RAW = "ecephys_1_2024-04-17_12-12-44"
FIRST, SECOND = "20260101T000000-00000001", "20260102T000000-00000002"


def write_run(folder: Path, run_id: str, status: str, **more: Any) -> None:
    """Write the `run.json` of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"run_id": run_id, "status": status, "process_name": "sort", **more}
    (folder / f"sort-{run_id}.run.json").write_text(json.dumps(content))


def read_manifest(uploader: Uploader, name: str = "name") -> dict[str, Any]:
    """The manifest of an asset."""
    found = uploader.client.get_object(Bucket=uploader.bucket, Key=f"assets/{name}/manifest.json")
    manifest: dict[str, Any] = json.loads(found["Body"].read())
    return manifest


class RunUpload:
    """A run's own upload of its results, as it waits in the run folder."""

    def __init__(self, uploader: Uploader) -> None:
        self._uploader = uploader
        self._folder = uploader.root / "run" / FIRST
        self._folder.mkdir(parents=True)
        write_run(self._folder, FIRST, "success")
        url = parse_s3_url(f"s3://{uploader.bucket}/assets")
        job = make_job(str(uploader.folder), url, "name", may_be_later=False, now=NOW)
        self._job = dataclasses.replace(job, run_id=FIRST, run_folder=str(self._folder))

    def remember(self) -> None:
        """Remember it, as a run does before it claims the name."""
        opened = OpenJob(str(self._folder))
        opened.set_job(self._job)
        opened.remember_source(self._job)
        opened.close(is_done=False)

    def resume(self) -> Report:
        """Go on."""
        settings = load_settings({}, self._uploader.environ, None).settings
        opened = OpenJob(str(self._folder))
        is_done = False
        try:
            assert opened.job is not None
            report = do_job(opened, opened.job, settings, lambda _: None)
            is_done = True
        finally:
            opened.close(is_done=is_done)
        return report


@pytest.fixture
def run_upload(uploader: Uploader) -> RunUpload:
    uploader.write("a", "b/c")
    upload = RunUpload(uploader)
    upload.remember()
    return upload


def test_a_runs_results_as_they_were(uploader: Uploader, run_upload: RunUpload) -> None:
    """The run's own files may come, and other attributes than size and time may change."""
    write_run(uploader.folder, FIRST, "success")
    (uploader.folder / f"sort-{FIRST}.html").write_text("page")
    (uploader.folder / "a").chmod(0o600)
    run_upload.resume()
    assert {"a", "b/c", f"sort-{FIRST}.html"} <= set(uploader.read())
    manifest = read_manifest(uploader)
    assert (manifest["source_run"], manifest["run_status"]) == (FIRST, "success")


def test_a_folder_that_had_an_earlier_runs_files(uploader: Uploader) -> None:
    """What was there when the run ended may stay there."""
    uploader.write("a")
    write_run(uploader.folder, "20250101T000000-00000000", "fail")
    write_run(uploader.folder, "20260101T000009-00000000", "success")  # of a run inside of it
    upload = RunUpload(uploader)
    upload.remember()
    assert upload.resume().committed


def _edit(folder: Path) -> None:
    (folder / "a").write_bytes(b"DATAa")  # of the same size


def _empty(folder: Path) -> None:
    shutil.rmtree(folder / "b")
    (folder / "a").unlink()


def _add(folder: Path) -> None:
    (folder / "b" / "d").write_bytes(b"")


def _reuse(folder: Path) -> None:
    write_run(folder, SECOND, "success")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_edit, "'a' has changed"),
        (_empty, "'a' is gone, 'b/c' is gone"),
        (_add, "'b/d' is new"),
        (_reuse, f"is new. The run {SECOND} has used it since"),
        (shutil.rmtree, "not there any more"),
    ],
)
def test_a_runs_results_that_changed(
    uploader: Uploader, run_upload: RunUpload, change: Any, told: str
) -> None:
    """What is not as the run has left it is not uploaded under its name: nothing is sent, and what
    to do is said."""
    change(uploader.folder)
    for _ in range(2):
        with pytest.raises(SourceError) as refused:
            run_upload.resume()
        assert told in refused.value.message
        assert f"capsule upload --drop {uploader.folder}" in refused.value.hint
    assert uploader.client.list_objects_v2(Bucket=uploader.bucket)["KeyCount"] == 0


def _fail_on(name: str, proxy: FaultyProxy) -> None:
    proxy.decide = lambda request: (
        answer(403, "AccessDenied") if request.path.endswith(name) else None
    )


@pytest.mark.parametrize("how", ["resumed", "plain"])
@pytest.mark.parametrize(
    ("before", "after"), [(FIRST, SECOND), (None, FIRST), (FIRST, None)], ids=str
)
def test_a_folder_of_another_run(
    faulty: Uploader, proxy: FaultyProxy, how: str, before: str | None, after: str | None
) -> None:
    """An upload that ended early does not go on with another run's results, also where it is typed
    once more; dropped, a new one is made of them."""
    faulty.write("a", "b")
    if before is not None:
        write_run(faulty.folder, before, "success")
    _fail_on("/b", proxy)
    words = ("tree", f"s3://{faulty.bucket}/assets", "--asset-name", "name")
    assert faulty.run(*words).returncode == 74
    proxy.decide = lambda request: None
    shutil.rmtree(faulty.folder)
    faulty.folder.mkdir()
    faulty.write("a")
    if after is not None:
        write_run(faulty.folder, after, "success")
    refused = faulty.run(*(("--resume",) if how == "resumed" else words))
    assert refused.returncode == 74
    assert (before or after or "") in refused.stderr
    assert "capsule upload --drop" in refused.stderr
    assert faulty.get("manifest.json") is None
    assert faulty.run("--drop", "tree").returncode == 0
    done = faulty.run(*words, "--overwrite-foreign")
    assert done.returncode == 0, done.stderr
    assert read_manifest(faulty).get("source_run") == after


def test_an_edited_folder_goes_on(faulty: Uploader, proxy: FaultyProxy) -> None:
    """A folder that is no run's own upload may be edited: what is there now is uploaded."""
    faulty.write("a", "b")
    write_run(faulty.folder, FIRST, "success")
    _fail_on("/b", proxy)
    words = ("tree", f"s3://{faulty.bucket}/assets", "--asset-name", "name")
    assert faulty.run(*words).returncode == 74
    proxy.decide = lambda request: None
    faulty.write("a", data=b"other")
    assert faulty.run("--resume").returncode == 0
    assert faulty.read()["a"] == b"othera"


def test_drop(faulty: Uploader, proxy: FaultyProxy) -> None:
    """It forgets a folder's uploads, also where the folder is gone, says what stays on the server,
    and leaves others."""
    faulty.write("a", "b")
    other = faulty.root / "other"
    shutil.copytree(faulty.folder, other)
    _fail_on("/b", proxy)
    for folder, name in (("tree", "name"), ("tree", "second"), ("other", "third")):
        place = f"s3://{faulty.bucket}/{'assets' if name != 'second' else 'more'}"
        assert faulty.run(folder, place, "--asset-name", name).returncode == 74
    shutil.rmtree(faulty.folder)
    proxy.decide = lambda request: None
    resumed = faulty.run("--resume")
    assert resumed.returncode == 74
    assert resumed.stderr.count("not there any more") == 2
    assert "assets/third" in resumed.stdout, "one that is gone does not block another"
    dropped = faulty.run("--drop", "tree", f"s3://{faulty.bucket}/more")
    assert (dropped.returncode, dropped.stdout.count("is forgotten")) == (0, 1)
    dropped = faulty.run("--drop", str(faulty.folder))
    assert dropped.returncode == 0
    assert f"s3://{faulty.bucket}/assets/name is forgotten" in dropped.stdout
    assert ".claim and 1 files" in dropped.stdout
    assert faulty.run("--resume").stderr == "Nothing is owed.\n"
    again = faulty.run("--drop", "tree")
    assert (again.returncode, "no upload of tree" in again.stderr) == (74, True)


@pytest.mark.parametrize(
    "words", [(), ("tree", "--resume"), ("tree", "--overwrite"), ("tree", "--asset-name", "x")]
)
def test_drop_does_nothing_else(uploader: Uploader, words: tuple[str, ...]) -> None:
    """It needs a folder, and no option besides."""
    done = uploader.run("--drop", *words)
    assert (done.returncode, "capsule upload --drop DIR" in done.stderr) == (2, True)


def test_drop_names_parts(faulty: Uploader, proxy: FaultyProxy) -> None:
    """Parts of an object that was begun cost, and nothing finds them later: they are said."""
    (faulty.folder / "big").write_bytes(os.urandom(17_000_000))
    proxy.decide = lambda request: (
        answer(403, "AccessDenied") if "partNumber=2" in request.path else None
    )
    words = ("tree", f"s3://{faulty.bucket}/assets", "--asset-name", "name")
    assert faulty.run(*words).returncode == 74
    assert "parts of 1 objects, such as 'big'" in faulty.run("--drop", "tree").stdout


class RunFolders:
    """Run folders of this machine."""

    def __init__(self, uploader: Uploader) -> None:
        self._base = uploader.root / "home" / ".local" / "state" / "aind-capsule"
        self._results = str(uploader.folder)
        self._locked: list[int] = []
        self.environ: Mapping[str, str] = uploader.environ

    def add(self, run_id: str, status: str, *, is_live: bool = False, **more: Any) -> None:
        """Add one."""
        folder = self._base / run_id
        folders = {"folders": {"results": self._results}}
        write_run(folder, run_id, status, **{**folders, **more})
        log = folder / f"sort-{run_id}.log.jsonl"
        log.touch()
        if is_live:
            fd = os.open(log, os.O_RDWR)
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._locked.append(fd)

    def end(self) -> None:
        """Let the runs end that go on."""
        while self._locked:
            os.close(self._locked.pop())


@pytest.fixture
def run_folders(uploader: Uploader) -> Iterator[RunFolders]:
    folders = RunFolders(uploader)
    yield folders
    folders.end()


@pytest.mark.parametrize("where", ["", "below", ".."])
def test_a_run_that_goes_on(uploader: Uploader, run_folders: RunFolders, where: str) -> None:
    """Its results are not uploaded, nor a folder in them or around them: the run is named. When it
    has ended they are."""
    uploader.write("below/a")
    run_folders.add(FIRST, "success")
    run_folders.add(SECOND, "running", is_live=True)
    folder = os.path.normpath(os.path.join("tree", where))
    words = (folder, f"s3://{uploader.bucket}/assets", "--asset-name", "name")
    refused = uploader.run(*words)
    assert refused.returncode == 74
    assert f"The run {SECOND} (sort) goes on" in refused.stderr
    assert uploader.client.list_objects_v2(Bucket=uploader.bucket)["KeyCount"] == 0
    assert uploader.run("--resume").stderr == "Nothing is owed.\n"
    run_folders.end()
    if where != "..":
        assert uploader.run(*words).returncode == 0


def test_a_run_that_goes_on_elsewhere(uploader: Uploader, run_folders: RunFolders) -> None:
    """A run with other results is in nobody's way."""
    uploader.write("a")
    results = str(uploader.root / "tree2")
    run_folders.add(SECOND, "running", is_live=True, folders={"results": results})
    words = ("tree", f"s3://{uploader.bucket}/assets", "--asset-name", "name")
    assert uploader.run(*words).returncode == 0


@pytest.mark.parametrize("where", ["in the folder", "in the history"])
@pytest.mark.parametrize(
    ("written", "status"), [("fail", "fail"), ("stopped", "stopped"), ("running", "lost")]
)
def test_a_run_that_failed(
    uploader: Uploader, run_folders: RunFolders, where: str, written: str, status: str
) -> None:
    """Its results are uploaded; that it failed is said and stands in the manifest."""
    uploader.write("a")
    if where == "in the folder":
        write_run(uploader.folder, FIRST, written, error_message="no space")
    else:
        run_folders.add("20250101T000000-00000000", "success")
        run_folders.add(FIRST, written, error_message="no space")
    words = ("tree", f"s3://{uploader.bucket}/assets", "--asset-name", "name")
    done = uploader.run(*words)
    assert done.returncode == 0, done.stderr
    assert f"The run {FIRST} (sort) of these results ended with {status}" in done.stderr
    assert "no space" in done.stderr
    assert read_manifest(uploader)["run_status"] == status
    again = uploader.run(*words, "--json")
    assert f"ended with {status}" in again.stderr, "also where nothing had to be sent"


def test_runs_of_a_folder(uploader: Uploader, run_folders: RunFolders) -> None:
    """Of the history only the newest run counts that had these results."""
    run_folders.add("20250101T000000-00000000", "fail")
    run_folders.add(FIRST, "success")
    run_folders.add(SECOND, "fail", folders={"results": "/elsewhere"})
    (run,) = find_source_runs(str(uploader.folder), None, run_folders.environ)
    assert (run.run_id, run.is_in_folder, find_status([run])) == (FIRST, False, "success")


@pytest.mark.parametrize(
    "more",
    [{"folders": []}, {"folders": {"results": 3}}, {"inputs": {"name": RAW}}, {"inputs": [3, {"name": 3, "links": "x"}]},
     {"identity": None, "process_name": 3, "error_message": [1]}],
)  # fmt: skip
def test_a_run_json_of_others(
    uploader: Uploader, run_folders: RunFolders, more: dict[str, Any]
) -> None:
    """Whatever stands in it ends no upload."""
    run_folders.add(SECOND, "success", **more)
    write_run(uploader.folder, FIRST, "success", **more)
    runs = find_source_runs(str(uploader.folder), None, run_folders.environ)
    assert FIRST in [run.run_id for run in runs]


def test_a_path_with_a_secret(uploader: Uploader, run_folders: RunFolders) -> None:
    """Secrets are hidden in `run.json`, also where they are part of the results' path."""
    hidden = str(uploader.folder).replace("tree", "t[redacted]")
    run_folders.add(FIRST, "running", is_live=True, folders={"results": hidden})
    for folder, count in (("tree", 1), ("tree/below", 1), (".", 1), ("other", 0)):
        path = os.path.normpath(uploader.root / folder)
        assert len(find_source_runs(path, None, run_folders.environ)) == count, folder


def test_the_status_of_several_runs() -> None:
    """One that failed counts before those that did not."""
    runs = [SourceRun("a", "success"), SourceRun("b", "stopped"), SourceRun("c", "fail")]
    assert (find_status(runs), find_status(runs[:1]), find_status([])) == (
        "stopped",
        "success",
        None,
    )


def _describe_raw(uploader: Uploader) -> None:
    told = {"name": RAW, "data_level": "raw"}
    (uploader.folder / "data_description.json").write_text(json.dumps(told))


def _describe_source(uploader: Uploader) -> None:
    told = {"name": f"{RAW}_x_2025-01-01_00-00-00", "data_level": "derived", "source_data": [RAW]}
    (uploader.folder / "data_description.json").write_text(json.dumps(told))


def _read_by_run(uploader: Uploader) -> None:
    inputs = [{"name": "session", "path": f"/mnt/{RAW}"}]
    write_run(uploader.folder, FIRST, "success", inputs=inputs)


def _known_to_the_history(uploader: Uploader) -> None:
    RunFolders(uploader).add(FIRST, "success", inputs=[{"name": RAW, "path": f"/data/{RAW}"}])


def _told_by_metadata(uploader: Uploader) -> None:
    acquisition = RAW.removeprefix("ecephys_")
    write_run(uploader.folder, FIRST, "success", inputs=[], acquisition_name=acquisition)


_KNOWN = [_describe_raw, _read_by_run, _known_to_the_history, _told_by_metadata]


@pytest.mark.parametrize(
    ("prepare", "is_named"),
    [(_describe_source, True), *((known, named) for known in _KNOWN for named in (True, False))],
)
def test_the_name_of_an_input(uploader: Uploader, prepare: Any, is_named: bool) -> None:
    """Results never get it, whoever says it: a raw asset of another tool stays as it is."""
    if not is_named and prepare is not _describe_raw:
        told = {"name": RAW}  # copied from the input
        (uploader.folder / "data_description.json").write_text(json.dumps(told))
    uploader.write("subject.json")
    prepare(uploader)
    raw = f"assets/{RAW}/subject.json"
    uploader.client.put_object(Bucket=uploader.bucket, Key=raw, Body=b"raw")
    words = ["tree", f"s3://{uploader.bucket}/assets", "--overwrite-foreign"]
    if is_named:
        words += ["--asset-name", RAW]
    refused = uploader.run(*words)
    assert refused.returncode == 2, refused.stderr
    assert f"{RAW} is the name of an input asset" in refused.stderr
    assert f"--asset-name {RAW}_processed_20" in refused.stderr
    listed = uploader.client.list_objects_v2(Bucket=uploader.bucket)["Contents"]
    assert [row["Key"] for row in listed] == [raw]
    assert uploader.run("--resume").stderr == "Nothing is owed.\n"


def test_a_derived_name_beside_an_input(uploader: Uploader) -> None:
    """A name that begins as the input's does is none of an input."""
    _read_by_run(uploader)
    uploader.write("a")
    name = f"{RAW}_processed_2026-01-01_00-00-00"
    words = ("tree", f"s3://{uploader.bucket}/assets", "--asset-name", name)
    assert uploader.run(*words).returncode == 0


def test_a_job_of_an_older_version(uploader: Uploader) -> None:
    """A journal that remembers nothing of its folder goes on."""
    uploader.write("a")
    upload = RunUpload(uploader)
    opened = OpenJob(str(uploader.root / "run" / FIRST))
    job: Job = upload._job
    opened.set_job(job)
    opened.close(is_done=False)
    uploader.write("later")
    assert upload.resume().committed
