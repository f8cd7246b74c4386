"""`capsule check-logs --secrets`: which lines a run would change, by which rule, and never the secret."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.cli import main
from aind_capsule.running.capture.secret_check import SecretCheck
from aind_capsule.settings.model import Settings
from tests.conftest import Capsule

TOKEN = "ghp_" + "x1Y2z3W4v5" * 4
PASSWORD = "Wombat-in-the-lab"
TEXT = f"""\
loading 12 trials
clone with {TOKEN} now
says {PASSWORD} twice {PASSWORD}
\x1b[31mpass\x1b[0mword=\x1b[1mquokka-17\x1b[0m
-----BEGIN RSA PRIVATE KEY-----
MIIEpAIBAAKCAQEAu4Lrz5VqLxu0ZzWv
-----END RSA PRIVATE KEY-----
{{"level": "INFO", "message": "m", "deep": {{"db_password": "numbat-8"}}}}
done, café
"""
SECRETS = (TOKEN, PASSWORD, "quokka-17", "MIIEpAIBAAKCAQEA", "numbat-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text, where one variable holds a secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [*os.environ]:
        if name.endswith(("TOKEN", "KEY", "PASSWORD")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LAB_TOKEN", PASSWORD)
    (tmp_path / "out.log").write_text(TEXT)
    return tmp_path


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command here; returns its status, stdout and stderr."""
    with pytest.raises(SystemExit) as exited:
        main(["check-logs", "--secrets", *arguments])
    shown = capsys.readouterr()
    assert not any(secret in shown.out + shown.err for secret in SECRETS)
    return int(exited.value.code or 0), shown.out, shown.err


@pytest.mark.usefixtures("folder")
def test_lines_rules_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line that would change is printed with its number, its rules and what is left of it; the status is 1."""
    status, out, err = check(capsys, "out.log")
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith("out.log:2: [GitHub")
    assert lines[0].endswith("] clone with [redacted] now")
    assert lines[1] == "out.log:3: [value of LAB_TOKEN] says [redacted] twice [redacted]"
    assert lines[2].endswith("] password=[redacted]")
    assert [line.partition(" ")[0] for line in lines[3:7]] == [
        f"out.log:{n}:" for n in (5, 6, 7, 8)
    ]
    assert "[goes on from the lines before] [redacted]" in lines[4]
    assert '"db_password":"[redacted]"' in lines[6]
    assert lines[7] == "out.log: 7 of 9 lines would be changed"
    assert lines[-1] == "Values that are known here are those of LAB_TOKEN."


@pytest.mark.usefixtures("folder")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON there are the lines of each file, and the variables whose values are known."""
    status, out, _ = check(capsys, "--json", "out.log")
    report = json.loads(out)
    assert status == 1
    assert report["known_variables"] == ["LAB_TOKEN"]
    found = report["files"]["out.log"]
    assert (found["lines"], found["changed"], len(found["found"])) == (9, 7, 7)
    assert found["found"][1] == {
        "line": 3, "rules": ["value of LAB_TOKEN"], "text": "says [redacted] twice [redacted]"
    }  # fmt: skip


def test_nothing_found_and_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 where nothing would be hidden; 2, with what to do, where a text cannot be read."""
    monkeypatch.delenv("LAB_TOKEN")
    (folder / "clean").write_text("trial 3\nall is well")
    status, out, _ = check(capsys, "clean")
    assert status == 0
    assert out.startswith("clean: 0 of 2 lines would be changed\nNo value is known here")
    status, _, err = check(capsys, "clean", "none")
    assert status == 2
    assert "none cannot be read: No such file or directory" in err
    assert "Name a text" in err


def test_settings_of_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder's own names, expressions and variables count; a capsule.toml that cannot be read is status 78."""
    (folder / "capsule.toml").write_text(
        '[redact]\nfields = ["rig_pin"]\npatterns = ["animal (?P<secret>[a-z]+)"]\nvalues_from_env = ["HOME"]\n'
    )
    (folder / "own").write_text(f"x rig_pin=77x1 of animal bilby\nin {folder}\n")
    _, out, _ = check(capsys, "own")
    assert out.splitlines()[0].endswith(
        "redact.patterns] x rig_pin=[redacted] of animal [redacted]"
    )
    assert out.splitlines()[1] == "own:2: [value of HOME] in [redacted]"
    (folder / "capsule.toml").write_text("[redact\n")
    assert check(capsys, "own")[0] == 78


def test_compressed_texts_and_pipes(folder: Path) -> None:
    """Compressed texts, standard input and pipes are read; a line without an end counts."""
    (folder / "out.log.gz").write_bytes(gzip.compress(TEXT.encode()))
    command = [sys.executable, "-m", "aind_capsule", "check-logs", "--secrets", "--json"]
    read, write = os.pipe()
    os.write(write, b"token=abc-1")
    os.close(write)
    done = subprocess.run([*command, "out.log.gz", "-", f"/dev/fd/{read}"], input=TEXT.encode(), cwd=folder,
                          pass_fds=[read], capture_output=True, check=False)  # fmt: skip
    os.close(read)
    files = json.loads(done.stdout)["files"]
    assert [file["changed"] for file in files.values()] == [7, 7, 1]


def test_long_lines(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Of a long line what stands around the first secret is shown; one of megabytes is one line."""
    (folder / "long").write_text("a" * 900 + f" {TOKEN} " + "b" * 1_200_000 + f" {TOKEN} c\nnext\n")
    status, out, _ = check(capsys, "long")
    lines = out.splitlines()
    assert status == 1
    assert all(len(line) < 400 for line in lines)
    assert lines[0].startswith("long:1: [GitHub")
    assert "…aaa" in lines[0]
    assert "[redacted]" in lines[0]
    assert lines[0].endswith("b…")
    assert "long: 1 of 2 lines would be changed" in lines


def test_terminals_are_safe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of a text reach no terminal."""
    (folder / "odd").write_bytes(b"token=abc-1 \x1b]0;title\x07 \x1b[2J \xff\n")
    _, out, _ = check(capsys, "odd")
    assert out.splitlines()[0].isprintable()


def test_as_a_run_would(capsule: Capsule) -> None:
    """What is shown of a line is what the log of a run holds of it."""
    text = TEXT.replace("\x1b[31m", "").replace("\x1b[0m", "").replace("\x1b[1m", "")
    (capsule.code / "text").write_text(text)
    done = capsule.run("cat", "text", env={"LAB_TOKEN": PASSWORD})
    messages = [r["message"] for r in done.records if "stream" in r]
    hidden = SecretCheck(Settings(), {"LAB_TOKEN": PASSWORD}).check(iter([text.encode()]))
    shown = [line.text for line in hidden if not line.text.startswith("{")]
    assert [
        message for message in messages if "[redacted]" in message and message[0] != "{"
    ] == shown
