"""An upload as it is remembered: its job, and the journal that one process has at a time.

A job's folder is in the user's state folder, or it is the run's, until its asset is whole.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aind_capsule.context.own_files import make_own_folder
from aind_capsule.history.owed import UPLOAD_JOURNAL
from aind_capsule.logs.place import find_bases, open_base
from aind_capsule.records.naming import make_run_id
from aind_capsule.storage.addresses import S3Url, parse_s3_url
from aind_capsule.storage.errors import StorageError
from aind_capsule.upload.asset import Report
from aind_capsule.upload.database import JournalError
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.naming import RUN_SUFFIX
from aind_capsule.upload.run_end import write_run_end
from aind_capsule.upload.source_check import check_runs, check_source, name_runs
from aind_capsule.upload.source_runs import SourceRun

_FOLDER = "uploads"
#: Of a run's folder; what else is there is the run's own business.
_RUN_FILES = (
    ".log.jsonl", ".run.json", ".resources.jsonl", ".log.txt", "_data_process.json",
    "data_description.json",
)  # fmt: skip
_ID_CHARS = 16


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


def find_run_files(job: Job) -> list[str]:
    """Return the files of the run that are part of the asset, as far as they are there."""
    if job.run_folder is None:
        return []
    names = sorted(os.listdir(job.run_folder))
    return [os.path.join(job.run_folder, name) for name in names if name.endswith(_RUN_FILES)]
