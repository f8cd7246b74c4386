"""What in a run folder says that something is still owed, so that it is not tidied away."""

from __future__ import annotations

#: There while an upload is not whole.
UPLOAD_JOURNAL = "upload.sqlite"
#: A larger `run.json` is none, and is not read.
MAX_RUN_JSON_BYTES = 64 * 1024 * 1024
