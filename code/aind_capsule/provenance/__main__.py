"""`python -m aind_capsule.provenance RUN_JSON TARGET`: a run's record, written by a run at its end.

One line of JSON on stdout says how it went: `gaps` (what is not known, and the setting that would
tell it) or `problem` and `hint`. The exit status is 0 where the record was written, else 1.
"""

from __future__ import annotations

import sys
from typing import Any

from aind_capsule.context.files import write_file
from aind_capsule.errors import CapsuleError
from aind_capsule.provenance.record import make_record
from aind_capsule.records.encode import decode, encode


def write_record(run_json: str, target: str) -> dict[str, Any]:
    """Make a run's record and write it whole; returns what is to be said of it.

    Raises:
        CapsuleError: There is no record to be made.
        OSError: A file cannot be read or written.
    """
    with open(run_json, "rb") as file:
        run = decode(file.read())
    if run is None:
        raise CapsuleError(f"{run_json} is no JSON object", hint="Look what has damaged it.")
    draft = make_record(run)
    write_file(target, encode(draft.content) + b"\n")
    return {"gaps": [{"what": gap.what, "setting": gap.setting} for gap in draft.gaps]}


def main(words: list[str]) -> int:
    """Write one record."""
    if len(words) != 2:
        print("usage: python -m aind_capsule.provenance RUN_JSON TARGET", file=sys.stderr)
        return 2
    try:
        told = write_record(*words)
    except CapsuleError as error:
        told = {"problem": error.message, "hint": error.hint}
    except OSError as error:
        told = {"problem": str(error), "hint": ""}
    print(encode(told).decode(), flush=True)
    return 1 if "problem" in told else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
