"""The metadata files of one AIND data asset, version 1 and 2, read as plain JSON.

Called by `assets`. Nothing here validates against a schema or raises: what cannot be used is left
out and told as a problem, one sentence with the file's name and the value.
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aind_capsule.context.files import UnusableFileError, read_json_object

DESCRIPTION = "data_description.json"
SUBJECT = "subject.json"
ACQUISITION = "acquisition.json"
SESSION = "session.json"  # version 1 of acquisition.json
INSTRUMENT = "instrument.json"
RIG = "rig.json"  # version 1 of instrument.json
PROCEDURES = "procedures.json"
PROCESSING = "processing.json"
FILE_NAMES = (
    DESCRIPTION,
    SUBJECT,
    ACQUISITION,
    SESSION,
    INSTRUMENT,
    RIG,
    PROCEDURES,
    PROCESSING,
)
LEVELS = ("raw", "derived", "simulated")
_MAX_BYTES = 64 * 1024 * 1024
_MAX_CHARS = 256
_PLACEHOLDERS = frozenset(
    {"unknown", "undefined", "null", "none", "nan", "n/a", "na", "tbd", "todo", "?", "-"}
)


@dataclass(slots=True)
class AssetMetadata:
    """What the files of one asset hold.

    Attributes:
        files: The names of those that are there, broken ones too.
        records: What each of the readable ones holds.
        problems: What is missing or invalid so far.
    """

    files: tuple[str, ...]
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def find_text(self, file: str, key: str, *, is_required: bool = False) -> str | None:
        """One value as text; None where it is missing, a word for nothing, or of a wrong type."""
        record = self.records.get(file)
        if record is None:
            return None
        if key not in record:
            if is_required:
                self.problems.append(f"{file}: {key} is missing.")
            return None
        return self._take(f"{file}: {key}", record[key], is_required=is_required)

    def find_agreed(self, key: str, sources: Iterable[tuple[str, bool]]) -> str | None:
        """The first of several files that knows a value; that others differ is a problem.

        Args:
            key: Its name in every file.
            sources: The files, and whether the value is required there.
        """
        found, found_in = None, ""
        for file, is_required in sources:
            value = self.find_text(file, key, is_required=is_required)
            if found is None:
                found, found_in = value, file
            elif value not in (None, found):
                self.problems.append(f"{file}: {key} is {value!r}, but {found!r} in {found_in}.")
        return found

    def find_level(self) -> str | None:
        """`raw`, `derived` or `simulated`; the oldest files say `raw data`."""
        text = self.find_text(DESCRIPTION, "data_level", is_required=True)
        if text is None:
            return None
        level = text.lower().split()[0]
        if level in LEVELS:
            return level
        self.problems.append(f"{DESCRIPTION}: data_level is {text!r}, none of {', '.join(LEVELS)}.")
        return None

    def find_modalities(self) -> tuple[str, ...]:
        """Abbreviations: `modalities` in version 2, `modality` (one or a list) in version 1."""
        record = self.records.get(DESCRIPTION)
        if record is None:
            return ()
        key = next((key for key in ("modalities", "modality") if record.get(key)), None)
        if key is None:
            self.problems.append(f"{DESCRIPTION}: modalities (modality in version 1) is missing.")
            return ()
        values = record[key] if isinstance(record[key], list) else [record[key]]
        found: dict[str, None] = {}
        for value in values:
            shown = value
            if isinstance(value, dict):
                shown = value.get("abbreviation") or value.get("name")
            text = self._take(f"{DESCRIPTION}: {key}", shown, is_required=True)
            if text is not None:
                found[text] = None
        return tuple(found)

    def find_start(self) -> str | None:
        """Find when the session or acquisition started, as its file has it."""
        for file in (ACQUISITION, SESSION):
            for key in ("acquisition_start_time", "session_start_time"):
                value = self.records.get(file, {}).get(key)
                if isinstance(value, str) and value.strip():
                    return value.strip()[:_MAX_CHARS]
        return None

    def find_instrument_id(self) -> str | None:
        """Find the instrument, which the schema lets an acquisition leave out or call unknown."""
        acquisition = self.records.get(ACQUISITION, {})
        value = acquisition.get("instrument_id", "")
        is_word = isinstance(value, str) and value.strip().lower() in _PLACEHOLDERS
        may_be_none = is_word or (value is None and not _has_data_stream(acquisition))
        return self.find_agreed(
            "instrument_id", [(ACQUISITION, not may_be_none), (INSTRUMENT, True)]
        )

    def find_specimen_ids(self, subject_id: str | None) -> tuple[str, ...]:
        """Find the specimens of the acquisition, else those that procedures on specimens name.

        One that does not hold the subject is of another animal: it is left out.
        """
        for file in (ACQUISITION, SESSION):
            found = self._take_specimens(
                file, [self.records.get(file, {}).get("specimen_id")], subject_id
            )
            if found:
                return found
        procedures = self.records.get(PROCEDURES, {}).get("specimen_procedures")
        entries = procedures if isinstance(procedures, list) else []
        values = [entry.get("specimen_id") for entry in entries if isinstance(entry, dict)]
        return self._take_specimens(PROCEDURES, values, subject_id)

    def _take_specimens(
        self, file: str, values: Iterable[Any], subject_id: str | None
    ) -> tuple[str, ...]:
        """Take the specimens of some values, each an id or a list of ids."""
        found: dict[str, None] = {}
        foreign: dict[str, None] = {}
        for value in values:
            for entry in value if isinstance(value, list) else [value]:
                text = self._take(f"{file}: specimen_id", entry, is_required=False)
                if text is not None:
                    is_fitting = subject_id is None or subject_id in text
                    (found if is_fitting else foreign)[text] = None
        if foreign:
            self.problems.append(
                f"{file}: specimen_id is {reprlib.repr(list(foreign))[1:-1]}, which does not hold"
                f" the subject {subject_id!r}, and was left out."
            )
        return tuple(found)

    def _take(self, place: str, value: Any, *, is_required: bool) -> str | None:
        """A value as text; None, and a problem where it is one, when it says nothing."""
        text, fault, is_nothing = _read_text(value)
        if fault is not None and (is_required or not is_nothing):
            self.problems.append(f"{place} is {fault}.")
        return text


def read_metadata(folder: str, names: Iterable[str]) -> AssetMetadata:
    """Read the metadata files of an asset.

    Args:
        folder: The asset's folder.
        names: What is in it; other files' names do no harm.
    """
    present = set(names)
    metadata = AssetMetadata(tuple(name for name in FILE_NAMES if name in present))
    for name in metadata.files:
        try:
            record = read_json_object(os.path.join(folder, name), _MAX_BYTES)
        except UnusableFileError as error:
            metadata.problems.append(f"{name} {error}.")
        except FileNotFoundError:
            metadata.problems.append(f"{name} vanished while it was read.")
        else:
            metadata.records[name] = record
    return metadata


def _has_data_stream(acquisition: dict[str, Any]) -> bool:
    """Return whether an acquisition holds a stream of an instrument's devices."""
    streams = acquisition.get("data_streams")
    return isinstance(streams, list) and any(
        isinstance(stream, dict) and stream.get("object_type") == "Data stream"
        for stream in streams
    )


def _read_text(value: Any) -> tuple[str | None, str | None, bool]:
    """A value as text, what is wrong with it, and whether it is only a way to say nothing."""
    if value is None:
        return None, "null", True
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            return None, f"{value}, no text", True
        is_whole = isinstance(value, int) or value.is_integer()
        text = str(int(value)) if is_whole else str(value)
        if len(text) > _MAX_CHARS:
            return None, f"a number of {len(text)} digits", False
        return text, f"the number {text}, which was taken as text", False
    if not isinstance(value, str):
        return None, f"{reprlib.repr(value)}, no text", False
    text = value.strip()
    if not text:
        return None, "empty", True
    if text.lower() in _PLACEHOLDERS:
        return None, f"{text!r}, a word for nothing", True
    if len(text) > _MAX_CHARS or not text.isprintable():
        return None, f"{reprlib.repr(text)}, which is too long or holds control characters", False
    return text, None, False
