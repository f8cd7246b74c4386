"""`python -m aind_capsule.upload`: a run's upload, step by step as that asks for it.

It is told its settings on stdin, then what to do, one JSON object a line; it answers on stdout in
the same way. When nobody is at the other end any more it ends, and what is not whole is owed.

| asked | does | answers |
|---|---|---|
| `check`: url, asset | finds out whether the asset can be written | `{}` |
| `owe`: a job, folder, end | remembers the job, and how the run ended: it is owed now | `{}` |
| `claim` | claims the name | `asset`, `url` |
| `send`: files beside | sends the results | the report |
| `commit` | sends the run's own files, then the manifest | the report |

An answer with `problem` (and `hint`, `is_refused`) says why it was not done, besides the report;
one with `progress` comes in between, twice a second.
"""

from __future__ import annotations

import base64
import contextlib
import pickle
import sys
import time
from collections.abc import Mapping
from typing import Any

from aind_capsule.errors import CapsuleError
from aind_capsule.records.encode import decode, encode
from aind_capsule.settings.model import Settings
from aind_capsule.storage.addresses import S3Url, parse_s3_url
from aind_capsule.storage.errors import RefusedError, SilentError
from aind_capsule.storage.objects import Bucket
from aind_capsule.upload.beginning import AssetTakenError
from aind_capsule.upload.jobs import BegunJob, begin_job
from aind_capsule.upload.keys import MANIFEST
from aind_capsule.upload.open_job import Job, OpenJob
from aind_capsule.upload.progress import Progress

_TELL_EVERY_S = 0.5


class Worker:
    """Does what a run asks for.

    Args:
        settings: The run's.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: OpenJob | None = None
        self._begun: BegunJob | None = None
        self._job: Job | None = None
        self._told_at = 0.0

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do one thing."""
        try:
            told: dict[str, Any] = getattr(self, f"_{asked['do']}")(asked)
        except CapsuleError as error:
            report = {} if self._begun is None else self._begun.upload.report.describe()
            return {
                **report,
                "problem": error.message,
                "hint": error.hint,
                "is_refused": not isinstance(error, SilentError),
            }
        except Exception as error:  # ours; the run is told, and goes on
            return {"problem": f"{type(error).__name__}: {error}", "hint": "", "is_refused": False}
        return told

    def close(self) -> None:
        """End; what is not whole is owed."""
        if self._opened is not None:
            report = None if self._begun is None else self._begun.upload.report
            self._opened.close(is_done=report is not None and report.committed)

    def _check(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        place = parse_s3_url(asked["url"])
        bucket = Bucket(place.bucket, self._settings.s3)
        if asked["asset"] is not None:
            place = place.join(asked["asset"])
            if _is_whole(bucket, place):
                raise AssetTakenError(f"{place} is there already, and whole", hint="Name another.")
        bucket.check(place.folder)
        return {}

    def _owe(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._opened = OpenJob(asked["folder"])
        self._job = Job(**asked["job"])
        self._opened.set_job(self._job)
        self._opened.journal.set_job("run_end", asked["end"])
        self._opened.remember_source(self._job)
        return {}

    def _claim(self, _asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self._opened is not None
        assert self._job is not None
        self._begun = begin_job(self._opened, self._job, self._settings, self._tell)
        job = self._begun.job
        return {"asset": job.asset, "url": str(job.place)}

    def _send(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self._begun is not None
        upload = self._begun.upload
        try:
            self._begun.send(asked["beside"])
        finally:
            with contextlib.suppress(CapsuleError):
                upload.count()
        return upload.report.describe()

    def _commit(self, _asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self._begun is not None
        assert self._opened is not None
        self._opened.remember_run_json(self._begun.job)
        self._begun.send()
        return self._begun.finish().describe()

    def _tell(self, progress: Progress) -> None:
        if time.monotonic() - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = time.monotonic()
        told = {name: getattr(progress, name) for name in progress.__slots__ if name != "failures"}
        _say({"progress": told})


def _is_whole(bucket: Bucket, place: S3Url) -> bool:
    try:
        return next(bucket.list(place.folder + MANIFEST), None) is not None
    except RefusedError:  # who may write need not be allowed to list
        return False


def _say(told: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(encode(told) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    """Answer until nobody asks any more."""
    settings = pickle.loads(base64.b64decode(sys.stdin.buffer.readline()))
    assert isinstance(settings, Settings)
    worker = Worker(settings)
    try:
        for line in sys.stdin.buffer:
            _say(worker.answer(decode(line) or {}))
    finally:
        worker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
