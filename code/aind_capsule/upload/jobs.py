"""Uploads of folders: each is a job with a journal, so that one that ended early can go on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aind_capsule.settings.model import Settings
from aind_capsule.storage.addresses import parse_s3_url
from aind_capsule.storage.objects import Bucket
from aind_capsule.storage.retry_policy import RetryPolicy
from aind_capsule.upload.asset import AssetUpload, Report
from aind_capsule.upload.beginning import AssetTakenError, NameClaimer, Permission
from aind_capsule.upload.claim import Claim
from aind_capsule.upload.naming import (
    find_described_inputs,
    find_input_names,
    find_next_name,
    read_run,
    refuse_input_name,
)
from aind_capsule.upload.open_job import Job, OpenJob, find_run_files
from aind_capsule.upload.progress import Tell
from aind_capsule.upload.source_check import describe_run
from aind_capsule.upload.source_runs import SourceRun, find_runs_in, find_status
from aind_capsule.version import __version__

NOTHING = Permission()
#: As many seconds are tried where a name with a time is taken.
_MAX_SECONDS = 60


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
        self.upload.compare(is_thorough=True)
        self.upload.send(may_replace_foreign=self._permission.overwrite_foreign)

    def finish(self, runs: Sequence[SourceRun] = ()) -> Report:
        """Make the asset whole.

        Args:
            runs: Those that have made the folder's files.

        Raises:
            AssetTakenError: Another upload has taken the name meanwhile.
            StorageError: It is not whole.
        """
        run = read_run(self.job.run_folder or self.job.source)
        target = self.upload.journal.target
        assert target is not None
        head = _build_head(self.job, run, find_status(runs))
        head["upload_id"] = target.upload_id
        return self.upload.commit(head, self._claimer.check_is_ours)


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
