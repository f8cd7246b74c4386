"""Shell scripts that run twice: bare, and with the guard line. What people see must be the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aind_capsule.capsules.guard import GUARD_LINE
from tests.conftest import build_environ

ARGUMENTS: tuple[str | bytes, ...] = (
    "a b", "", "*", "x\ny", "-e", "$HOME", '"q"', "--", "--help", "it's", "é", b"\xff\xfe",
)  # fmt: skip

#: Shows all that the guard line could have changed.
SHOW = r"""
printf 'zero=%s\n' "$0"
printf 'source=%s\n' "${BASH_SOURCE-}"
printf 'folder=%s\n' "$(cd "$(dirname "$0")" && pwd)"
printf 'cwd=%s\n' "$(pwd)"
printf 'n=%s\n' "$#"; for a in "$@"; do printf '<%s>' "$a"; done; echo
printf 'flags=%s\n' "$-"
set -o 2>/dev/null | sort
IFS= read -r line || :; printf 'stdin=%s\n' "$line"
if [ -n "${BASH_VERSION-}" ]; then shopt extglob login_shell nullglob || :; fi
command -v from_profile || :; alias from_profile_too 2>/dev/null || :
printf '%s\n' "$PATH"
env | sed -n 's/=.*//p' | grep -v '^CAPSULE_\|^_$\|^PWD$\|^OLDPWD$' | sort
"""
PIPE = "false | cat\necho still\n"
FAIL = "false\necho still\n"
#: What a login shell reads before the script.
PROFILE = "from_profile() { :; }\nalias from_profile_too=true\n"


@dataclass(frozen=True)
class Row:
    """One script and one way to start it.

    Attributes:
        shebang: The first line; empty for none.
        body: What is behind the guard line.
        how: The start. `{code}` is the code folder, here and in all that follows.
        files: Further files of the code folder. `{guard}` is the guard line.
        profile: The user's start-up files.
        path: Folders of PATH; `{bin}` is the one that holds `capsule`.
        is_wrapped: Whether it becomes a run.
        told: What stderr says where it does not.
        needs: Programs without which the row cannot run.
    """

    shebang: str
    body: str = SHOW
    how: tuple[str, ...] = ("./run",)
    arguments: tuple[str | bytes, ...] = ARGUMENTS
    cwd: str = "{code}"
    files: dict[str, str] = field(default_factory=dict)
    profile: str = ""
    path: str = "{bin}:/usr/bin:/bin"
    env: dict[str, str] = field(default_factory=dict)
    mode: int = 0o755
    has_windows_ends: bool = False
    is_wrapped: bool = True
    told: bytes = b""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What a script did."""

    status: int
    stdout: bytes
    stderr: bytes
    runs: int


def run_row(row: Row, root: Path, name: str, line: str) -> Seen:
    """Run a row's script with a line where the guard line stands."""
    base = root / name
    places = {"{bin}": str(root / "bin"), "{code}": str(base / "code"), "{guard}": line}

    def fill(text: str) -> str:
        for place, value in places.items():
            text = text.replace(place, value)
        return text

    for folder in ("code", "data", "results", "scratch", "home"):
        (base / folder).mkdir(parents=True)
    head = f"{row.shebang}\n" if row.shebang else ""
    texts = {"run": f"{head}{line}\n{row.body}", **row.files}
    for file_name, text in texts.items():
        path = base / "code" / file_name
        path.parent.mkdir(exist_ok=True)
        ends = "\r\n" if row.has_windows_ends else "\n"
        path.write_text(fill(text), newline=ends)
        path.chmod(row.mode if file_name == "run" else 0o755)
    (base / "link").symlink_to("code/run")
    for file_name in (".bash_profile", ".bashrc", ".zprofile", ".profile"):
        (base / "home" / file_name).write_text(fill(row.profile))
    environ = {
        **build_environ(base / "home"), "PATH": fill(row.path), "LANG": "C.UTF-8",
        "CAPSULE_RUN_FILES": "none", "CAPSULE_CONSOLE__MODE": "off", **row.env,
    }  # fmt: skip
    done = subprocess.run(
        [*(fill(word) for word in row.how), *row.arguments],
        cwd=fill(row.cwd),
        env=environ,
        input=b"line of stdin\nmore\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    runs = [*base.rglob(".capsule/*/*.log.jsonl"), *(base / "home").rglob("*.log.jsonl")]
    mark = str(base).encode()
    out, err = (stream.replace(mark, b"BASE") for stream in (done.stdout, done.stderr))
    return Seen(done.returncode, out, err, len(runs))


def check_row(row: Row, root: Path) -> None:
    """Run a row bare and guarded, and compare."""
    skip_without(*row.needs)
    write_launcher(root / "bin" / "capsule")
    bare = run_row(row, root, "bare", ":")
    guarded = run_row(row, root, "guarded", GUARD_LINE)
    assert guarded.status == bare.status, guarded.stderr
    assert guarded.stdout == bare.stdout, guarded.stderr
    assert guarded.runs == row.is_wrapped, guarded.stderr
    assert row.told in guarded.stderr
    assert b"Traceback" not in guarded.stderr


def write_launcher(path: Path) -> None:
    """Write `capsule` as pip does."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable}\nfrom aind_capsule.__main__ import start\nstart()\n")
    path.chmod(0o755)


def skip_without(*programs: str) -> None:
    """Skip where a program is missing; in CI nothing may be missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {', '.join(missing)}")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
