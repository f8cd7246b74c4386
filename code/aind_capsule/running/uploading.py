"""The upload of a run's results: checked before the start, done at its end by another process.

claim the name -> `data_description.json` -> results -> (canonical record, run files) -> the rest
and the manifest. Nothing of boto3 is imported here.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from aind_capsule.errors import SettingsError
from aind_capsule.running.describing import DESCRIPTION, make_description
from aind_capsule.running.outcome import Outcome
from aind_capsule.running.prepare import Prepared
from aind_capsule.running.run_folder import RunFolder
from aind_capsule.running.upload_process import RESUME, UploadProcess, Wait, check_upload
from aind_capsule.storage.addresses import parse_s3_url
from aind_capsule.upload.naming import (
    NoNameError,
    build_asset_name,
    find_input_names,
    refuse_input_name,
)
from aind_capsule.upload.progress import Progress

EXIT_UPLOAD = 74
#: Between two records that tell how far it is.
_LOG_EVERY_S = 60.0
_FAILED = "failed"
#: Of the upload's report.
_COUNTS = ("files", "size", "transferred", "failures", "left_out")
_NAME_IT = "`capsule upload --resume --asset-name NAME` does it once the run has ended"


class RunUpload:
    """What a run uploads.

    Args:
        prepared: The run.
        find_folder: Returns the run's folder, which may change.
        log: Writes a record of the wrapper's own: level, message, fields.
        complain: Says what went wrong once the log is closed.
        show: Shows how far it is, on a line that the next replaces.
        wait: Waits for so many seconds, or less; returns whether to stop waiting.
    """

    def __init__(
        self,
        prepared: Prepared,
        find_folder: Callable[[], RunFolder | None],
        log: Callable[..., object],
        complain: Callable[[str], None],
        show: Callable[[str], None],
        wait: Wait,
    ) -> None:
        given = prepared.settings.upload
        self.is_required = given.required if given.required is not None else prepared.task is None
        self._prepared = prepared
        self._find_folder = find_folder
        self._url = given.url or ""
        self._name = given.asset_name
        self._log = log
        self._complain = complain
        self._show = show
        self._has_looked = False
        self._told_at = time.monotonic()
        self._wait = wait
        self._report: dict[str, Any] = {}
        self._process: UploadProcess | None = None

    def check(self, found: Mapping[str, Any], wait: Wait) -> Outcome | None:
        """Before the start: whether it can be uploaded; how the run ends where that is refused.

        Args:
            found: What is known of the inputs.
            wait: As `wait` of the class, before the start.
        """
        if "inputs" in found:
            self._has_looked = True
            try:
                self._find_name(found)
            except NoNameError as error:
                return self._refuse(error.message, error.hint, "SettingsError")
        told = check_upload(self._prepared.settings, wait)
        if "problem" not in told:
            return None
        if told.get("is_refused"):
            return self._refuse(told["problem"], told["hint"], "UploadError")
        self._log("WARNING", f"Whether results can be uploaded is not known: {told['problem']}")
        return None

    def look_at(self, found: Mapping[str, Any]) -> None:
        """While the processing runs: say it as soon as the inputs tell no name for the asset."""
        if self._has_looked or "inputs" not in found:
            return
        self._has_looked = True
        try:
            self._find_name(found)
        except NoNameError as error:
            level = "ERROR" if self.is_required else "WARNING"
            self._log(level, f"Results will not be uploaded: {error.message}; {_NAME_IT}")

    def send(
        self,
        outcome: Outcome,
        found: Mapping[str, Any],
        describe_end: Callable[[], Mapping[str, Any]],
    ) -> Outcome:
        """After the processing: claim the name and send the results; how the run ends now.

        Args:
            outcome: How the processing ended.
            found: What is known of the inputs.
            describe_end: Returns what the run's files will say of it; an upload that goes on
                without this process writes that.
        """
        policy = self._prepared.settings.upload.on_failure
        is_success = outcome.status == "success"
        if outcome.status == "stopped" or (not is_success and policy == "never"):
            return outcome
        started = time.monotonic()
        url = self._url if is_success else str(parse_s3_url(self._url).join(_FAILED))
        source = self._prepared.facts.folders["results"] if is_success or policy == "all" else None
        problem = self._send(url, source, found, describe_end)
        self._report["seconds"] = round(time.monotonic() - started, 3)
        if problem is None:
            return outcome
        self._report |= {"committed": False, "problem": problem}
        self._log(
            "ERROR" if self.is_required else "WARNING", f"Results were not uploaded: {problem}"
        )
        if not is_success or not self.is_required:
            return outcome
        return dataclasses.replace(
            outcome, status="fail", level="ERROR", wrapper_status=EXIT_UPLOAD,
            error_type="UploadError", error_message=problem,
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What the canonical record says of it."""
        told = {name: self._report.get(name) for name in ("url", "seconds", *_COUNTS, "problem")}
        told["bytes"] = told.pop("size")
        return {name: value for name, value in told.items() if value is not None}

    def commit(self) -> dict[str, Any]:
        """After the run files: send these, then the manifest; what `run.json` says of it."""
        process = self._process
        if process is None:
            return self._report
        if "problem" not in self._report:
            told = process.ask({"do": "commit"}, None, self._wait, lambda _: None)
            if "problem" in told:
                told = {"committed": False, "problem": _join(told)}
                self._complain(f"The asset is not whole: {told['problem']}; {RESUME}")
            names = ("committed", "problem", "warnings", *_COUNTS)
            self._report |= {name: told[name] for name in names if name in told}
        process.close()
        return self._report

    @property
    def has_failed(self) -> bool:
        """Whether an upload that is required is not whole."""
        return self.is_required and self._report.get("committed") is False

    def _send(
        self,
        url: str,
        source: str | None,
        found: Mapping[str, Any],
        describe_end: Callable[[], Mapping[str, Any]],
    ) -> str | None:
        """Claim and send; why that was not possible, or None."""
        prepared = self._prepared
        folder = self._find_folder()
        if folder is None:
            return "there is no run folder, which would remember what was sent"
        now = dt.datetime.now(dt.timezone.utc)
        problem = None
        try:
            name, may_be_later = self._find_name(found, now)
        except NoNameError as error:
            name, may_be_later, problem = "", False, f"{error.message}; {_NAME_IT}"
        try:
            self._process = UploadProcess(prepared.settings)
        except OSError as error:
            return f"no process can be started for it: {error}"
        data, label = prepared.facts.folders["data"], prepared.settings.upload.label
        job = {
            "source": source, "url": url, "asset": name, "may_be_later": may_be_later,
            "run_id": prepared.facts.run_id, "claimed_at": now.isoformat(timespec="seconds"),
            "run_folder": folder.path, "data": data, "label": label,
        }  # fmt: skip
        told = self._ask(
            {"do": "owe", "folder": folder.path, "job": job, "end": dict(describe_end())}
        )
        if "problem" in told or problem is not None:
            return problem or _join(told)
        told = self._ask({"do": "claim"})
        if "problem" in told:
            return _join(told)
        self._report |= {"url": told["url"]}
        for message in make_description(
            folder.path, source, data, told["asset"], label, self._wait
        ):
            self._log("WARNING", message)
        target = os.path.join(folder.path, DESCRIPTION)
        beside = [target] if os.path.exists(target) else []
        told = self._ask({"do": "send", "beside": beside})
        self._report |= {name: told[name] for name in _COUNTS if name in told}
        if "problem" in told:
            return _join(told)
        for warning in told.get("warnings", ()):
            self._log("WARNING", warning)
        return None

    def _find_name(
        self, found: Mapping[str, Any], now: dt.datetime | None = None
    ) -> tuple[str, bool]:
        now = now or dt.datetime.now(dt.timezone.utc)
        label = self._prepared.settings.upload.label
        if self._name is not None:
            refuse_input_name(self._name, find_input_names(found), label, now)
            return self._name, False
        names = [str(row.get("name")) for row in found.get("inputs", ())]
        try:
            return build_asset_name(names, label, now), True
        except NoNameError:
            # Folders may be called anything; the metadata in them tell the acquisition.
            acquisition = found.get("identity", {}).get("acquisition_name")
            if not isinstance(acquisition, str):
                raise
            return build_asset_name([acquisition], label, now), True

    def _refuse(self, message: str, hint: str, kind: str) -> Outcome | None:
        if not self.is_required:
            self._log("WARNING", f"Results will not be uploaded: {message}. {hint}")
            return None
        status = EXIT_UPLOAD if kind == "UploadError" else SettingsError.exit_status
        return Outcome("fail", "ERROR", status, None, None, kind, f"{message}. {hint}")

    def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        told = self._process.ask(asked, None, self._wait, self._tell)
        self._show("")
        return told

    def _tell(self, progress: Mapping[str, Any]) -> None:
        told = Progress(**progress)
        self._show(f"Uploading: {told.describe()}")
        if time.monotonic() - self._told_at >= _LOG_EVERY_S:
            self._told_at = time.monotonic()
            self._log("INFO", f"Uploading: {told.describe()}", done_files=told.done_files,
                      files=told.files, done_bytes=told.done_size, bytes=told.size,
                      bytes_per_s=round(told.rate))  # fmt: skip


def _join(told: Mapping[str, Any]) -> str:
    return ". ".join(part for part in (told["problem"], told.get("hint", "")) if part)
