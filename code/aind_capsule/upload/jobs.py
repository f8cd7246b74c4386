"""Uploads of folders: each is a job with a journal, so that one that ended early can go on.

A job's folder is in the user's state folder until its asset is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aind_capsule.context.own_files import make_own_folder
from aind_capsule.history.owed import UPLOAD_JOURNAL
from aind_capsule.logs.place import find_bases, open_base
from aind_capsule.records.naming import make_run_id
from aind_capsule.settings.model import Settings
from aind_capsule.storage.addresses import S3Url, parse_s3_url
from aind_capsule.storage.errors import StorageError
from aind_capsule.storage.objects import Bucket
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.upload.asset import AssetUpload, Report
from aind_capsule.upload.beginning import AssetTakenError, NameClaimer, Permission
from aind_capsule.upload.claim import Claim
from aind_capsule.upload.database import JournalError
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.naming import (
    RUN_SUFFIX,
    find_described_inputs,
    find_input_names,
    find_next_name,
    read_run,
    refuse_input_name,
)
from aind_capsule.upload.progress import Tell
from aind_capsule.upload.run_end import write_run_end
from aind_capsule.upload.source_check import check_runs, check_source, describe_run, name_runs
from aind_capsule.upload.source_runs import SourceRun, find_runs_in, find_status
from aind_capsule.version import __version__

_FOLDER = "uploads"
#: Of a run's folder; what else is there is the run's own business.
_RUN_FILES = (
    ".log.jsonl", ".run.json", ".resources.jsonl", ".log.txt", "_data_process.json",
    "data_description.json",
)  # fmt: skip
_ID_CHARS = 16
NOTHING = Permission()
#: As many seconds are tried where a name with a time is taken.
_MAX_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Job:
    """One upload of a folder.

    Attributes:
        source: The folder; None where only a run's own files are uploaded.
        url: Below which the asset is.
        asset: Its name; empty where nobody knows it yet.
        may_be_later: Whether the name may be that of a later second.
        run_id: Of this upload, or of the run that it belongs to: the claim bears it.
        claimed_at: ISO 8601.
        run_folder: The run's, whose files are part of the asset.
        data: That run's data folder, which the asset's description is derived from.
        label: What was done, for that description.
    """

    source: str | None
    url: str
    asset: str
    may_be_later: bool
    run_id: str
    claimed_at: str
    run_folder: str | None = None
    data: str | None = None
    label: str = ""

    @property
    def place(self) -> S3Url:
        """The asset's folder."""
        return parse_s3_url(self.url).join(self.asset)


class OpenJob:
    """A job that this process does, and no other.

    Args:
        folder: The job's own; it is made.

    Raises:
        JournalError: It cannot be made, or another process does the job.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        try:
            make_own_folder(folder).close()
        except OSError as error:
            raise JournalError(
                f"{folder} cannot be written: {error.strerror}", hint="Set XDG_STATE_HOME."
            ) from error
        self.journal = Journal(folder)

    @property
    def job(self) -> Job | None:
        """What is to be done, where it was begun before."""
        told = self.journal.get_job("job")
        return None if told is None else Job(**told)

    def set_job(self, job: Job) -> None:
        """Remember what is to be done."""
        told = {name: getattr(job, name) for name in job.__slots__}
        self.journal.set_job("job", told)
        self.journal.commit()

    def remember_source(self, job: Job) -> None:
        """Remember the results of a run as they are: from now on they may not change.

        Raises:
            JournalError: They cannot be read, or the journal cannot be written.
        """
        if job.source is None:
            return
        try:
            self.journal.begun_source.remember(job.source, job.run_id)
        except OSError as error:
            raise JournalError(
                f"{job.source} cannot be read: {error.strerror}", hint="Name a folder."
            ) from error
        self.journal.set_job("is_source_known", value=True)
        self.journal.commit()

    def write_run_end(self, job: Job) -> None:
        """Have the files of the job's run say how it ended, before they are sent.

        Raises:
            JournalError: They cannot be written.
        """
        if job.run_folder is None:
            return
        end, upload = self.journal.get_job("run_end") or {}, {"url": str(job.place)}
        try:
            write_run_end(job.run_folder, job.source, job.run_id, end, upload)
        except OSError as error:
            raise JournalError(
                f"The run files in {job.run_folder} cannot be written: {error.strerror}",
                hint="Make room there; then capsule upload --resume.",
            ) from error

    def remember_run_json(self, job: Job) -> None:
        """Remember the `run.json` that is sent now.

        It is written anew when the upload has failed, and what the server has then is ours.
        """
        for path in find_run_files(job):
            if path.endswith(RUN_SUFFIX):
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    self.journal.ledger.add_attempted(os.path.basename(path), file.read())
        self.journal.commit()

    def check_source(self, job: Job, runs: Sequence[SourceRun]) -> None:
        """Check that the folder is the one that the upload was begun with.

        Args:
            job: What is to be done.
            runs: Those that have made the folder's files.

        Raises:
            SourceError: It is another one.
            LiveRunError: A run has not finished it.
        """
        if job.source is None:
            return
        is_runs_own = job.run_folder is not None
        is_known = bool(self.journal.get_job("is_source_known"))
        begun = self.journal.begun_source if is_known else None
        check_source(job.source, job.run_id if is_runs_own else None, begun, runs)
        if is_runs_own:
            return
        before = self.journal.get_job("source_runs")
        if before is None:
            self.journal.set_job("source_runs", name_runs(runs))
        else:
            check_runs(job.source, before, runs)

    def close(self, *, is_done: bool) -> None:
        """End; the journal of a job that is done goes."""
        with contextlib.suppress(StorageError):
            self.journal.close()
        if is_done:
            for name in os.listdir(self._folder):
                if name.startswith(UPLOAD_JOURNAL):
                    os.unlink(os.path.join(self._folder, name))
            with contextlib.suppress(OSError):  # there may be more in it
                os.rmdir(self._folder)


def note_whole(job: Job, report: Report) -> None:
    """Have the `run.json` of a job's run say that its asset is whole.

    It is done when the journal is gone: the asset's own file does not say it.
    """
    if job.run_folder is None:
        return
    names = ("url", "files", "size", "left_out", "committed")
    upload = {name: getattr(report, name) for name in names}
    with contextlib.suppress(OSError):
        write_run_end(job.run_folder, job.source, job.run_id, {}, upload)


def find_job_folder(source: str, url: str, asset: str | None, environ: Mapping[str, str]) -> str:
    """Where the journal of an upload is."""
    words = "\0".join((os.path.realpath(source), url, asset or ""))
    name = hashlib.sha256(os.fsencode(words)).hexdigest()[:_ID_CHARS]
    for base in find_bases(None, environ):
        with contextlib.suppress(OSError), contextlib.closing(open_base(base)) as parent:
            with contextlib.suppress(FileExistsError):
                parent.make_folder(_FOLDER)
            parent.open_folder(_FOLDER).close()  # refuses a link
            return os.path.join(base, _FOLDER, name)
    raise JournalError("There is no folder for the upload's journal", hint="Set XDG_STATE_HOME.")


def find_job_folders(scratch: str | None, environ: Mapping[str, str]) -> Iterator[str]:
    """The folders of all uploads that were begun and not ended.

    Args:
        scratch: Where run folders may be.
        environ: The environment.
    """
    bases = list(find_bases(scratch, environ))
    for folder in (*(os.path.join(base, _FOLDER) for base in bases), *bases):
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(folder)):
                if os.path.exists(os.path.join(folder, name, UPLOAD_JOURNAL)):
                    yield os.path.join(folder, name)


def make_job(source: str, url: S3Url, asset: str, *, may_be_later: bool, now: dt.datetime) -> Job:
    """A new job."""
    told = now.isoformat(timespec="seconds")
    return Job(os.path.abspath(source), str(url), asset, may_be_later, make_run_id(), told)


def do_job(
    opened: OpenJob,
    job: Job,
    settings: Settings,
    tell: Tell,
    *,
    permission: Permission = NOTHING,
    announce: Callable[[str], object] = lambda _: None,
    prepare: Callable[[Job], object] = lambda _: None,
    runs: Sequence[SourceRun] | None = None,
) -> Report:
    """Do a job, from wherever it was left.

    Args:
        opened: Its journal.
        job: What is to be done.
        settings: `s3` and `upload`.
        tell: Takes the progress.
        permission: What may be done to what is there.
        announce: Takes one sentence before something is replaced.
        prepare: Called once the name is claimed, with the job, which has it.
        runs: Those that have made the folder's files; by default those whose `run.json` is in it.

    Raises:
        InputNameError: The name is that of an input.
        SourceError: The folder is not the one that the upload was begun with.
        LiveRunError: A run has not finished it.
        AssetTakenError: The name is another's.
        StorageError: Something failed; `capsule upload --resume` goes on.
    """
    if runs is None:
        runs = () if job.source is None else list(find_runs_in(job.source))
    opened.check_source(job, runs)
    inputs = {name for run in runs for name in run.inputs}
    begun = begin_job(
        opened, job, settings, tell, permission=permission, announce=announce, inputs=inputs
    )
    report = begun.report
    if report is None:
        prepare(begun.job)
        opened.write_run_end(begun.job)
        opened.remember_run_json(begun.job)
        begun.send()
        report = begun.finish(() if job.run_folder is not None else runs)
    if job.run_folder is not None:
        runs = list(find_runs_in(job.run_folder))
    for run in runs:
        if run.status != "success":
            why = f": {run.error_message}" if run.error_message else ""
            report.warnings.append(
                f"The run {describe_run(run)} of these results ended with {run.status}{why}"
            )
    return report


def begin_job(
    opened: OpenJob,
    job: Job,
    settings: Settings,
    tell: Tell,
    *,
    permission: Permission = NOTHING,
    announce: Callable[[str], object] = lambda _: None,
    inputs: Collection[str] = (),
) -> BegunJob:
    """Claim a job's name, or that of a later second.

    Args:
        opened: Its journal.
        job: What is to be done.
        settings: `s3` and `upload`.
        tell: Takes the progress.
        permission: What may be done to what is there.
        announce: Takes one sentence before something is replaced.
        inputs: Names of input assets, besides those that the job's own run and folder tell.

    Returns:
        The job with its name; it has a report where nothing is left to do.

    Raises:
        InputNameError: The name is that of an input.
        AssetTakenError: The name is another's.
        StorageError: Something failed.
    """
    label = job.label or settings.upload.label
    known = {*inputs, *find_job_inputs(job)}
    refuse_input_name(job.asset, known, label, dt.datetime.now(dt.timezone.utc))
    opened.set_job(job)
    patience = RetryPolicy(settings.s3.retry_for)
    bucket = Bucket(parse_s3_url(job.url).bucket, settings.s3, patience)
    for number in range(_MAX_SECONDS):
        upload = AssetUpload(bucket, patience, job.place, opened.journal, settings, tell)
        claimer = NameClaimer(
            upload,
            Claim(job.run_id, job.claimed_at, ""),
            functools.partial(look_at_files, upload, job),
            permission,
            announce,
        )
        try:
            is_done = claimer.take(is_new=job.may_be_later)
        except AssetTakenError:
            later = find_next_name(job.asset) if job.may_be_later else None
            if later is None or number == _MAX_SECONDS - 1:
                raise
            job = dataclasses.replace(job, asset=later)
            opened.set_job(job)
            continue
        report = upload.finish_unchanged() if is_done else None
        return BegunJob(job, upload, claimer, permission, report)
    raise AssertionError


def find_job_inputs(job: Job) -> set[str]:
    """Return the names of input assets that a job's run and its folder's description tell."""
    names = set(find_input_names(read_run(job.run_folder)))
    return names if job.source is None else names | find_described_inputs(job.source)


def look_at_files(upload: AssetUpload, job: Job, beside: Iterable[str] | None = None) -> None:
    """Take the files of a job into its journal.

    Args:
        upload: The job's.
        job: It.
        beside: Files beside the folder's; by default those of its run.
    """
    upload.look_at(job.source, find_run_files(job) if beside is None else beside)


@dataclass(frozen=True, slots=True)
class BegunJob:
    """A job whose name is claimed.

    Attributes:
        job: It, with its name.
        upload: What does it.
        report: How it went, where nothing is left to do.
    """

    job: Job
    upload: AssetUpload
    _claimer: NameClaimer
    _permission: Permission
    report: Report | None = None

    def send(self, beside: Iterable[str] | None = None) -> None:
        """Send what the server has not.

        Args:
            beside: Files beside the folder's; by default those of its run.

        Raises:
            StorageError: Something failed; what was sent is remembered.
        """
        look_at_files(self.upload, self.job, beside)
        self.upload.list_objects()
        self.upload.compare()
        self.upload.send(may_replace_foreign=self._permission.overwrite_foreign)

    def finish(self, runs: Sequence[SourceRun] = ()) -> Report:
        """Make the asset whole.

        Args:
            runs: Those that have made the folder's files.

        Raises:
            AssetTakenError: Another upload has taken the name meanwhile.
            StorageError: It is not whole.
        """
        self._claimer.check_is_ours()
        run = read_run(self.job.run_folder or self.job.source)
        target = self.upload.journal.target
        assert target is not None
        head = _build_head(self.job, run, find_status(runs))
        return self.upload.commit({**head, "upload_id": target.upload_id})


def find_run_files(job: Job) -> list[str]:
    """Return the files of the run that are part of the asset, as far as they are there."""
    if job.run_folder is None:
        return []
    names = sorted(os.listdir(job.run_folder))
    return [os.path.join(job.run_folder, name) for name in names if name.endswith(_RUN_FILES)]


def _build_head(job: Job, run: Mapping[str, Any], status: str | None) -> dict[str, Any]:
    """Build what the manifest says besides the files; what is not known is left out."""
    told = {
        "run_id": job.run_id,
        "source_run": run.get("run_id"),
        "run_status": run.get("status") if status is None else status,
        "code": run.get("code"),
        "created_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "toolkit": {"name": "aind-capsule", "version": __version__},
    }
    return {name: value for name, value in told.items() if value is not None}
