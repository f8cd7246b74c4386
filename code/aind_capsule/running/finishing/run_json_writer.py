"""Write `run.json`: first with nothing known but the start, last with the canonical record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from aind_capsule.logs.file.kept_folder import KeptFolder
from aind_capsule.records.encode import decode, encode
from aind_capsule.running.finishing.run_json import build_run_json
from aind_capsule.running.prepare import Prepared
from aind_capsule.running.run_folder import RunJson


class RunJsonWriter:
    """The versions of one run's `run.json`, in the folder that the run has at the time.

    Args:
        prepared: The run.
        kept: Its folder.
        listed: The kinds of run files that are named in it.
        names: The names of run files by kind.
        complain: Shows people what went wrong.

    Attributes:
        content: The last version.
    """

    def __init__(
        self,
        prepared: Prepared,
        kept: KeptFolder,
        listed: Iterable[str],
        names: Mapping[str, str],
        complain: Callable[[str], None],
    ) -> None:
        self.content = b""
        self._prepared = prepared
        self._kept = kept
        self._listed = tuple(listed)
        self._names = names
        self._complain = complain
        self._file: RunJson | None = None

    def write(
        self,
        canonical: Mapping[str, Any] | None,
        found: Mapping[str, Any],
        processing: Mapping[str, Any],
        *,
        is_last: bool = False,
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write the next version.

        Args:
            canonical: The canonical record, once there is one.
            found: What is known of the inputs.
            processing: What the processing's own Python has said about itself.
            is_last: Whether no other version follows.
            more: What the processing has said of the run beyond the canonical record.
        """
        if self._prepared.run_folder is None:
            return
        redacted = self.build(canonical, found, processing, more=more)
        self._write(encode(redacted) + b"\n", is_last=is_last)

    def build(
        self,
        canonical: Mapping[str, Any] | None,
        found: Mapping[str, Any],
        processing: Mapping[str, Any],
        *,
        more: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return a version without secrets; the arguments are those of `write`."""
        content = build_run_json(
            self._prepared.facts,
            canonical,
            found=found,
            processing=processing,
            files={kind: self._names[kind] for kind in self._listed},
            more=more,
        )
        return self._prepared.redactor.redact_fields(decode(encode(content)) or {})

    def write_anew(self) -> None:
        """Write the last version again: the run has another folder now."""
        self.close()
        if self.content:
            self._write(self.content, is_last=False)

    def close(self) -> None:
        """Give up the space that is kept for the next version."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, content: bytes, *, is_last: bool) -> None:
        self.content = content
        path, opened = self._kept.path, self._kept.opened
        if path is None or opened is None:
            return
        name = self._names["run"]
        try:
            if self._file is None:
                self._file = RunJson(opened, name)
            self._file.write(content, is_last=is_last)
        except OSError as error:
            if opened.is_in_place:  # else it is written when the files have another place
                self._complain(f"{os.path.join(path, name)} cannot be written: {error.strerror}")
