"""A file or stream of the user's own as the target of records.

Calls come one at a time (`target.SerialTarget` sees to that).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.logs.file.log_limits import Trouble, explain_write_error
from aind_capsule.logs.python.output import Output
from aind_capsule.logs.stderr import say
from aind_capsule.records.encode import encode_members
from aind_capsule.records.redaction.redactor import Redactor


class OutputTarget:
    """Completes records and writes them.

    Args:
        output: Takes the lines.
        fields: What is put into every record.
        redactor: Hides secrets in the records before they come here.

    Attributes:
        fields: What is put into every record, without secrets.
        redactor: As given.
        lost: Records that could not be written, by cause.
    """

    is_echoed = False

    def __init__(self, output: Output, fields: Mapping[str, Any], redactor: Redactor) -> None:
        self.fields: Mapping[str, Any] = redactor.redact_fields(fields)
        self.redactor = redactor
        self.lost: dict[str, int] = {}
        self._error: Exception | None = None
        self._output = output
        self._suffix = encode_members(self.fields).encode() + b"}\n"

    def send(self, record: bytes) -> None:
        """Write a record; what cannot be written is counted, and said once for each cause."""
        try:
            self._output.write_line(record[:-1] + self._suffix)
        except Exception as error:  # a stream of the user's may raise anything
            self._error = error
            trouble = self._explain(error)
            if trouble.cause not in self.lost:
                say(trouble.message)
            self.lost[trouble.cause] = self.lost.get(trouble.cause, 0) + 1

    def raise_last_error(self) -> None:
        """Raise the error of a record that could not be written, once.

        Raises:
            Exception: Whatever the file or stream has raised.
        """
        error, self._error = self._error, None
        if error is not None:
            raise error

    def forget(self) -> None:
        """Go on in a forked child: each line is appended by one write, and nothing is buffered."""
        self.lost = {}

    def finish(self) -> None:
        """Say what was lost."""
        for cause, count in sorted(self.lost.items()):
            say(f"{count} records are not in {self._output.name} ({cause})")
        self.lost = {}

    def close(self) -> None:
        """Let go of the output."""
        self._output.close()

    def _explain(self, error: Exception) -> Trouble:
        if isinstance(error, OSError) and error.strerror:
            return explain_write_error(self._output.name, error)
        message = f"The log {self._output.name} cannot be written: {error}"
        return Trouble("write_error", message)
