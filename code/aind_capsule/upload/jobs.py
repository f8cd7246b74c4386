"""Uploads of folders: each is a job with a journal, so that one that ended early can go on.

A job's folder is in the user's state folder until its asset is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from aind_capsule.upload.claim import Claim
from aind_capsule.upload.database import JournalError
from aind_capsule.upload.journal import HASHES, Journal
from aind_capsule.upload.naming import find_next_name, read_run
from aind_capsule.upload.progress import Tell
from aind_capsule.version import __version__

_FOLDER = "uploads"
#: Of a run's folder; what else is there is the run's own business.
_RUN_FILES = (
    ".log.jsonl", ".run.json", ".resources.jsonl", ".log.txt", "_data_process.json",
    "data_description.json",
)  # fmt: skip
_ID_CHARS = 16
#: A file that has changed later than this before its upload is read again by the next one: times
#: are coarse somewhere, and a mapped page has a new time only once it was written back (35 s).
_SETTLED_S = 60.0
_KEPT_S = 30 * 86_400.0
#: As many seconds are tried where a name with a time is taken.
_MAX_SECONDS = 60


class AssetTakenError(StorageError):
    """The asset's name is another's."""


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

    def close(self, *, is_done: bool) -> None:
        """End; of a job that is done a folder's hashes are remembered, for its next upload."""
        with contextlib.suppress(StorageError):
            job = self.job
            if is_done and job is not None and job.run_folder is None:
                began_s = dt.datetime.fromisoformat(job.claimed_at).timestamp()
                self.journal.keep_hashes(int((began_s - _SETTLED_S) * 1e9))
        with contextlib.suppress(StorageError):
            self.journal.close()
        if is_done:
            for name in os.listdir(self._folder):
                if name.startswith(UPLOAD_JOURNAL):
                    os.unlink(os.path.join(self._folder, name))
            with contextlib.suppress(OSError):  # there may be more in it
                os.rmdir(self._folder)
            _forget_old_hashes(os.path.dirname(self._folder))


def _forget_old_hashes(folder: str) -> None:
    """Remove what nobody has used for long; so long runs are kept too."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name, HASHES)
            with contextlib.suppress(OSError):
                if time.time() - os.path.getmtime(path) > _KEPT_S:
                    os.unlink(path)
                    os.rmdir(os.path.dirname(path))


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
    overwrite: bool,
    prepare: Callable[[Job], object] = lambda _: None,
) -> Report:
    """Do a job, from wherever it was left.

    Args:
        opened: Its journal.
        job: What is to be done.
        settings: `s3` and `upload`.
        tell: Takes the progress.
        overwrite: Whether a whole asset of that name may be replaced.
        prepare: Called once the name is claimed, with the job, which has it.

    Raises:
        AssetTakenError: The name is another's.
        StorageError: Something failed; `capsule upload --resume` goes on.
    """
    upload, job, report = begin_job(opened, job, settings, tell, overwrite=overwrite)
    if report is not None:
        return report
    prepare(job)
    send_job(upload, job)
    return finish_job(upload, job)


def begin_job(
    opened: OpenJob, job: Job, settings: Settings, tell: Tell, *, overwrite: bool = False
) -> tuple[AssetUpload, Job, Report | None]:
    """Claim a job's name, or that of a later second.

    Returns:
        The upload, the job with its name, and the report where nothing is left to do.

    Raises:
        AssetTakenError: The name is another's.
        StorageError: Something failed.
    """
    opened.set_job(job)
    patience = RetryPolicy(settings.s3.retry_for)
    bucket = Bucket(parse_s3_url(job.url).bucket, settings.s3, patience)
    for _ in range(_MAX_SECONDS):
        upload = AssetUpload(bucket, patience, job.place, opened.journal, settings, tell)
        is_ours, report = _try_name(upload, job, overwrite=overwrite)
        if is_ours or report is not None:
            return upload, job, report
        later = find_next_name(job.asset) if job.may_be_later else None
        if later is None:
            break
        job = dataclasses.replace(job, asset=later)
        opened.set_job(job)
    owner = upload.owner
    whose = f"by {owner.run_id} since {owner.claimed_at}" if owner is not None else "by another"
    raise AssetTakenError(
        f"{job.place} is claimed {whose}, and not whole",
        hint="Have that upload finished (capsule upload --resume where it was begun), or say"
        " --overwrite.",
    )


def send_job(upload: AssetUpload, job: Job, beside: Iterable[str] | None = None) -> None:
    """Send what the server has not.

    Args:
        upload: The job's.
        job: It.
        beside: Files beside the folder's; by default those of its run.

    Raises:
        StorageError: Something failed; what was sent is remembered.
    """
    upload.list_known()
    upload.look_at(job.source, find_run_files(job) if beside is None else beside)
    upload.send()


def finish_job(upload: AssetUpload, job: Job) -> Report:
    """Make the asset whole.

    Raises:
        StorageError: It is not.
    """
    run = read_run(job.run_folder or job.source)
    return upload.commit(_build_head(job, run))


def find_run_files(job: Job) -> list[str]:
    """The files of the run that are part of the asset, as far as they are there."""
    if job.run_folder is None:
        return []
    names = sorted(os.listdir(job.run_folder))
    return [os.path.join(job.run_folder, name) for name in names if name.endswith(_RUN_FILES)]


def _try_name(upload: AssetUpload, job: Job, *, overwrite: bool) -> tuple[bool, Report | None]:
    """Claim a name; whether it is ours, and the report where nothing is left to do."""
    mine = Claim(job.run_id, job.claimed_at)
    owner = upload.owner
    is_mine = owner is not None and owner.run_id == mine.run_id
    head = upload.find_manifest()
    if head is not None and not (is_mine and head.get("run_id") != mine.run_id):
        if job.may_be_later and not is_mine:
            return False, None
        upload.list()
        upload.look_at(job.source, find_run_files(job))
        if upload.is_unchanged():
            return True, upload.finish_unchanged()
        if not overwrite and not is_mine:
            raise AssetTakenError(
                f"{job.place} is whole, and {job.source} holds something else",
                hint="Give another name by --asset-name, or say --overwrite.",
            )
    if not is_mine:
        owner = upload.claim(mine, overwrite=overwrite)
        if owner.run_id != mine.run_id:
            return False, None
    return True, None


def _build_head(job: Job, run: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says besides the files; what is not known is left out."""
    told = {
        "run_id": job.run_id,
        "source_run": run.get("run_id"),
        "code": run.get("code"),
        "created_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "toolkit": {"name": "aind-capsule", "version": __version__},
    }
    return {name: value for name, value in told.items() if value is not None}
