"""The end of a run whose wrapper was ended while it uploaded: its files say what is true then.

The run remembers how its processing ended before it uploads anything. Where it could not write that
any more, or wrote that its upload has failed, the upload that goes on does.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Mapping
from typing import Any

from aind_capsule.context.files import UnusableFileError, read_bytes, write_all, write_file
from aind_capsule.history.owed import MAX_RUN_JSON_BYTES
from aind_capsule.logs.file import log_lock
from aind_capsule.logs.reader import read_last_record
from aind_capsule.records.canonical import is_canonical
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.naming import LOG_SUFFIX, RUN_FILE_SUFFIXES

_RUN_SUFFIX = RUN_FILE_SUFFIXES["run"]
_UPLOAD_ERROR = "UploadError"
#: Told of the upload that ended early.
_NOT_TRUE = ("problem", "failures", "committed")


def write_run_end(
    folder: str, results: str | None, run_id: str, end: Mapping[str, Any], upload: Mapping[str, Any]
) -> None:
    """Have a run's files say how its processing ended, and how its upload did.

    The log's last record stays where there is one: it tells how the wrapper ended.

    Args:
        folder: The run's.
        results: Where copies of its files may be.
        run_id: The run.
        end: What the run remembers: `record` and `run_json`; empty where it remembers nothing.
        upload: What is known of the upload now.

    Raises:
        OSError: They cannot be written.
    """
    name, content = _read_run_json(folder, run_id)
    if name is None:
        return
    before = copy.deepcopy(content)
    is_unfinished = content.get("status") == "running"
    if end and (is_unfinished or content.get("error_type") == _UPLOAD_ERROR):
        finished = dict(end["run_json"])
        for kept in ("data_process", "delivery"):
            if kept in content:
                finished[kept] = content[kept]
        finished["upload"] = content.get("upload")
        content = finished
        if is_unfinished:
            _end_log(os.path.join(folder, name.removesuffix(_RUN_SUFFIX) + LOG_SUFFIX), end, upload)
    earlier = content.get("upload")
    earlier = earlier if isinstance(earlier, dict) else {}
    still_true = {key: value for key, value in earlier.items() if key not in _NOT_TRUE}
    content["upload"] = {**still_true, **upload}
    if content == before:
        return
    data = encode(content) + b"\n"
    write_file(os.path.join(folder, name), data)
    if results is not None and os.path.exists(os.path.join(results, name)):
        write_file(os.path.join(results, name), data)


def _read_run_json(folder: str, run_id: str) -> tuple[str | None, dict[str, Any]]:
    for name in sorted(os.listdir(folder)):
        if name.endswith(_RUN_SUFFIX):
            with contextlib.suppress(OSError, UnusableFileError):
                content = decode(read_bytes(os.path.join(folder, name), MAX_RUN_JSON_BYTES)) or {}
                if content.get("run_id") == run_id:
                    return name, content
    return None, {}


def _end_log(path: str, end: Mapping[str, Any], upload: Mapping[str, Any]) -> None:
    """Write the last record of a log that has none."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        log_lock.lock(fd)
        last = read_last_record(path) or {}
        if is_canonical(last):
            return
        size = os.fstat(fd).st_size
        is_torn = bool(size) and os.pread(fd, 1, size - 1) != b"\n"
        seq = last.get("seq")
        record = {
            **end["record"],
            "upload": dict(upload),
            "seq": seq + 1 if isinstance(seq, int) else 0,
        }
        write_all(fd, (b"\n" if is_torn else b"") + encode(record) + b"\n")
    finally:
        os.close(fd)
