"""Where all records of a run come together: numbered, counted, written, and shown to people.

Captured lines, records from inside and the wrapper's own go through here, and nowhere else, to the
log file; the console (stderr) and the session file show the same records for people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aind_capsule.frozen import frozen
from aind_capsule.logs.console import format_record
from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.colours import strip_record
from aind_capsule.records.encode import decode, encode, encode_members
from aind_capsule.records.levels import LEVEL_NUMBERS, LEVELS
from aind_capsule.records.merge import RESERVED_FIELDS, rename_taken
from aind_capsule.records.naming import GENERAL_NAMES, clean_process_name
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.redaction.stream import StreamRedactor
from aind_capsule.records.schema import TIMESTAMP_PATTERN
from aind_capsule.records.shrink import (
    MAX_FIELDS_BYTES,
    MAX_RECORD_BYTES,
    fit_fields,
    fit_record,
    is_cut,
)
from aind_capsule.records.timestamps import (
    US_PER_S,
    RecordClock,
    format_second,
    format_timestamp,
)
from aind_capsule.running.additions import KIND, Additions
from aind_capsule.version import __version__

if TYPE_CHECKING:
    from aind_capsule.records.foreign import ForeignRecord
    from aind_capsule.running.recording.failure_evidence import FailureEvidence
    from aind_capsule.running.recording.traceback_info import Traceback

_SOFTWARE = {"software_name": "aind-capsule", "software_version": __version__}
_INFO_BYTES = b'"level":"INFO"'
_matches_timestamp = re.compile(TIMESTAMP_PATTERN).match
#: Of a torn record so much is kept.
_TORN_BYTES = 1000


@frozen
class StatedName:
    """The name that a process of the run states for itself.

    Attributes:
        text: The name, without secrets.
        suffix: The encoded end of that process's records.
    """

    text: str
    suffix: bytes


class Journal:
    """Writes the records of one run.

    Args:
        writer: The log file.
        fields: What every record of the run bears (run id, process name, …), without secrets.
        redactor: Hides secrets in every record; captured lines come without theirs.
        level: Lowest level that the log file takes.
        is_name_guess: Whether a name that a process states is preferred to the run's.
        clock: Gives times to captured lines and the wrapper's own records.

    Attributes:
        additions: What the processing has said of the run.
        counts: Records in the log, by level.
        lost: Records that were lost before they came to the writer, by cause.
        viewers: Called with each record that the processing did not print itself.
        captured_viewer: Called with each record of what it printed, where somebody wants them.
        stated_name: The first name that a process of the run has stated, where it is preferred.
    """

    def __init__(
        self,
        writer: LogWriter,
        fields: Mapping[str, Any],
        *,
        redactor: Redactor,
        level: str = "DEBUG",
        is_name_guess: bool = False,
        clock: RecordClock | None = None,
    ) -> None:
        self.redactor = redactor
        self.additions = Additions()
        self.is_name_guess = is_name_guess
        self.stated_name: str | None = None
        self.counts = dict.fromkeys(LEVELS, 0)
        self.lost: dict[str, int] = {}
        self._cut = 0
        self._evidence: FailureEvidence | None = None
        self.viewers: list[Callable[[Mapping[str, Any]], None]] = []
        self.captured_viewer: Callable[[Mapping[str, Any]], None] | None = None
        self._writer = writer
        self._clock = clock or RecordClock()
        self._steps_told = 0
        self._has_reported_too_long = False
        self._threshold = LEVEL_NUMBERS[level]
        self._formats: dict[tuple[int, bytes], bytes] = {}
        self.set_fields(fields)

    @property
    def cut(self) -> int:
        """Records, and messages on the run, that were too long and were cut."""
        return self._cut + self.additions.cut

    def set_fields(self, fields: Mapping[str, Any]) -> None:
        """Have other fields in every record from now on; before the processing starts."""
        self.fields, self._cut_fields = fit_fields(fields)
        self._taken = RESERVED_FIELDS.union(fields)
        self._software = {k: v for k, v in _SOFTWARE.items() if k not in fields}
        self._suffix = self.build_suffix({})

    @property
    def evidence(self) -> FailureEvidence:
        """What the processing has said that may be the reason of its failure."""
        if self._evidence is None:  # it is not needed before the processing has been started
            from aind_capsule.running.recording.failure_evidence import FailureEvidence

            self._evidence = FailureEvidence()
        return self._evidence

    @property
    def last_exception(self) -> Traceback | None:
        """The last exception that may be the reason of a failure."""
        return self.evidence.exception

    def build_suffix(self, more: Mapping[str, Any]) -> bytes:
        """The encoded end of records: some fields, then the run's."""
        return encode_members({**more, **self.fields}).encode()

    def write_captured(
        self, texts: Sequence[bytes], levels: Mapping[int, str], suffix: bytes
    ) -> None:
        """Write lines of the processing's output.

        Args:
            texts: Encoded messages, without quotes.
            levels: The levels of those that are not INFO, by index.
            suffix: From `build_suffix`.
        """
        first_us = self._take_times(len(texts))
        second, microsecond = divmod(first_us, US_PER_S)
        if microsecond + len(texts) > US_PER_S:  # at most once a second: the block crosses its end
            head = US_PER_S - microsecond
            records = self._format(second, microsecond, texts[:head], suffix)
            records += self._format(second + 1, 0, texts[head:], suffix)
        else:
            records = self._format(second, microsecond, texts, suffix)
        kinds = [(index, level) for index, level in levels.items() if level != "INFO"]
        for index, level in kinds:
            records[index] = records[index].replace(
                _INFO_BYTES, b'"level":"%b"' % level.encode(), 1
            )
        if kinds:
            self.evidence.note_lines(texts, levels)
        if self._threshold > 10:
            kept = [
                index
                for index in range(len(records))
                if LEVEL_NUMBERS[levels.get(index, "INFO")] >= self._threshold
            ]
            records = [records[index] for index in kept]
            levels = {new: levels.get(old, "INFO") for new, old in enumerate(kept)}
            kinds = [(index, level) for index, level in levels.items() if level != "INFO"]
        if not records:
            return
        lost = self._writer.append(records)
        self.counts["INFO"] += len(records) - len(kinds)
        for _, level in kinds:
            self.counts[level] += 1
        for index in lost:
            self.counts[levels.get(index, "INFO")] -= 1
        if self.captured_viewer is not None:
            for record in records:
                self.captured_viewer(decode(record + b"}") or {})

    def state_name(self, name: object) -> StatedName | None:
        """Take the name that a process states; None where the run's own name is kept."""
        text = clean_process_name(name) if isinstance(name, str) else ""
        if not self.is_name_guess or text in GENERAL_NAMES:
            return None
        text = self.redactor.redact_text(text)
        self.stated_name = self.stated_name or text
        fields = {**self.fields, "process_name": text}
        return StatedName(text, encode_members(fields).encode())

    def write_inside(self, line: bytes, name: StatedName | None = None) -> None:
        """Write a record that our own logger set-up in the processing encoded.

        Args:
            line: The record.
            name: What its process states for itself.
        """
        suffix = self._suffix if name is None else name.suffix
        record = decode(line)
        if record is None:
            self.write_torn(line)
            return
        line = line.rstrip()
        # Escapes that need not be hide what is looked for.
        if b"\\" in line and (b"\\u" in line or b"\\/" in line):
            plain = strip_record(encode(record))
            line, record = plain, decode(plain) or {}
        redacted = self.redactor.redact_record(line)
        if redacted is not line:
            line, record = redacted, decode(redacted) or {}
        level = record.get("level")
        is_whole = (
            level in LEVEL_NUMBERS
            and type(record.get("message")) is str
            and _matches_timestamp(str(record.get("timestamp"))) is not None
        )
        if is_whole and self._taken.isdisjoint(record):
            self._put(line[:-1] + suffix, str(level), record, name)
            return
        # What our own logger set-up has cut is named by it; nobody else could know it here.
        reserved = RESERVED_FIELDS - {"truncated"} if is_cut(record) else RESERVED_FIELDS
        self._write_record(self._adopt(record, reserved), suffix, name)

    def write_torn(self, line: bytes) -> None:
        """Count a record from inside that cannot be read, and write how it begins."""
        self.count_lost("torn_inside_records")
        raw = self.redactor.redact_bytes(line)[:_TORN_BYTES]  # a cut may not hide a secret
        self.log("WARNING", "A record from inside was torn", raw=raw)

    def write_foreign(self, foreign: Mapping[str, Any]) -> None:
        """Write a record that another program encoded, or take what it says of the run."""
        if foreign.get("capsule") == KIND:
            self.additions.take(foreign)
            return
        self._write_record(self._adopt(foreign), self._suffix, is_printed=True)

    def write_printed(self, read: ForeignRecord, suffix: bytes) -> None:
        """Write a record that a logger of the processing printed as JSON."""
        from aind_capsule.records.foreign import complete  # few runs need it

        record = rename_taken(complete(read, self._take_times(1)), self.fields)
        self._write_record(record, suffix, is_printed=True)

    def write_beginning(
        self, data: bytes, name: StatedName | None = None, *, is_printed: bool = False
    ) -> bool:
        """Write the beginning of a record that is longer than `MAX_RECORD_BYTES`.

        Args:
            data: What was read of it.
            name: What its process states for itself.
            is_printed: Whether people see what it was made of already.

        Returns:
            False where it is not the beginning of a JSON object.
        """
        from aind_capsule.records.beginnings import decode_beginning  # few runs need it

        if len(data) > MAX_RECORD_BYTES:
            data = data[: StreamRedactor(self.redactor).find_cut(data, MAX_RECORD_BYTES)]
        foreign = decode_beginning(data)
        if foreign is None:
            return False
        self._report_too_long()
        if "capsule" in foreign and "message" not in foreign:
            self.additions.lost += 1
            return True
        suffix = self._suffix if name is None else name.suffix
        self._write_record(
            self._adopt(foreign), suffix, name, is_printed=is_printed, is_beginning=True
        )
        return True

    def write_fields(
        self,
        fields: Mapping[str, Any],
        suffix: bytes,
        *,
        is_printed: bool = False,
        is_reason: bool = True,
    ) -> None:
        """Write a record that was made here of what the processing said; it gets its time now.

        Args:
            fields: What it says.
            suffix: The encoded end that it gets.
            is_printed: Whether people see what it was made of already.
            is_reason: Whether it may be why the processing failed.
        """
        record = {"timestamp": format_timestamp(self._take_times(1)), **fields}
        self._write_record(record, suffix, is_printed=is_printed, is_own=not is_reason)

    def log(self, level: str, message: str, **fields: Any) -> None:
        """Write a record of the wrapper's own."""
        own = {"level": level, "message": message, **self._software}
        timestamp = format_timestamp(self._take_times(1))
        fields = rename_taken(fields, {*own, *self.fields})
        self._write_record({"timestamp": timestamp, **own, **fields}, self._suffix, is_own=True)

    def build_canonical(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the run's last record as it would be written now."""
        timestamp = format_timestamp(self._take_times(1))
        plain = decode(encode({"timestamp": timestamp, **fields, **self._software})) or {}
        record = {**self.redactor.redact_fields(plain), **self.fields}
        if self.stated_name is not None:
            record["process_name"] = self.stated_name
        return record

    def write_canonical(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Write the run's last record; returns it as it was written, or would have been."""
        record = self.build_canonical(fields)
        if not self._writer.append_canonical(record):
            self.count_lost("canonical_record")
        self._show(record)
        return record

    def count_lost(self, cause: str, count: int = 1) -> None:
        """Count records that could not be kept."""
        self.lost[cause] = self.lost.get(cause, 0) + count

    def get_lost(self) -> dict[str, int]:
        """All records that could not be kept, by cause."""
        lost = {**self._writer.lost, **self.lost}
        return {**lost, "additions": self.additions.lost} if self.additions.lost else lost

    def _adopt(
        self, foreign: Mapping[str, Any], reserved: Collection[str] = RESERVED_FIELDS
    ) -> dict[str, Any]:
        from aind_capsule.records.foreign import normalise  # few runs need it

        record = normalise(foreign, self._take_times(1), reserved)
        return rename_taken(record, self.fields)

    def _format(
        self, second: int, microsecond: int, texts: Sequence[bytes], suffix: bytes
    ) -> list[bytes]:
        form = self._formats.get((second, suffix))
        if form is None:
            start = f'{{"timestamp":"{format_second(second)}'.encode()
            end = b'"' + suffix.replace(b"%", b"%%")
            form = start + b'%06dZ","level":"INFO","message":"%b' + end
            self._formats = {(second, suffix): form}
        return [form % pair for pair in enumerate(texts, microsecond)]

    def _write_record(
        self,
        record: Mapping[str, Any],
        suffix: bytes,
        name: StatedName | None = None,
        *,
        is_printed: bool = False,
        is_beginning: bool = False,
        is_own: bool = False,
    ) -> None:
        encoded = encode(record)
        redacted = self.redactor.redact_record(strip_record(encoded))
        shown = record if redacted is encoded else decode(redacted) or {}
        level = str(record["level"])
        self._put(
            redacted[:-1] + suffix,
            level,
            shown,
            name,
            is_printed=is_printed,
            is_beginning=is_beginning,
            is_own=is_own,
        )

    def _put(
        self,
        data: bytes,
        level: str,
        record: Mapping[str, Any],
        name: StatedName | None = None,
        *,
        is_printed: bool = False,
        is_beginning: bool = False,
        is_own: bool = False,
    ) -> None:
        fitted = fit_record(data)
        shown = record if fitted is data else decode(fitted + b"}") or {}
        if not is_own:
            self.evidence.note_record(record)
        if is_beginning or "truncated" in shown:
            self._cut += 1
        if LEVEL_NUMBERS[level] >= self._threshold and self._writer.append_one(fitted):
            self.counts[level] += 1
        if self._cut_fields:
            names, self._cut_fields = ", ".join(self._cut_fields), []
            text = f"The fields of every record are cut to {MAX_FIELDS_BYTES} bytes: {names}"
            self.log("WARNING", text)
        shown = shown if name is None else {**shown, "process_name": name.text}
        if not is_printed:
            self._show(shown)
        elif self.captured_viewer is not None:
            self.captured_viewer(shown)

    def _report_too_long(self) -> None:
        """Say once that a record was longer than what is read of one."""
        if not self._has_reported_too_long:
            self._has_reported_too_long = True
            text = (
                f"A record was longer than {MAX_RECORD_BYTES} bytes and is cut. Further ones are"
                " counted (cut_records of the canonical record)"
            )
            self.log("WARNING", text)

    def _show(self, record: Mapping[str, Any]) -> None:
        for view in self.viewers:
            view(record)

    def _take_times(self, count: int) -> int:
        first_us = self._clock.take(count)
        if self._clock.steps_back > self._steps_told:
            self._steps_told = self._clock.steps_back
            if self._steps_told == 1:
                self.log("WARNING", "The clock went back; times of records follow it")
        return first_us


def format_line(record: Mapping[str, Any], mode: str) -> bytes:
    """A record for the console or the session file, with its line end."""
    if mode == "json":
        return encode(record) + b"\n"
    return (format_record(record, colours=mode == "pretty") + "\n").encode("utf-8", "replace")
