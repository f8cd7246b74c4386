"""What commands and runs say of themselves holds no secret, though it repeats what a user gave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.cli import main
from tests.conftest import Capsule
from tests.shipping.loki_double import LokiDouble, Request

SECRET = "Wombat-qX7w/zKj"
PASSWORD_URL = "ftp://me:quokka-pw-9@host/x"


@pytest.mark.parametrize(
    "arguments",
    [
        [SECRET],
        ["run", f"--{SECRET}", "--", "true"],
        ["run", "--field", SECRET, "--", "true"],
        ["run", "--timeout", SECRET, "--", "true"],
        ["upload", SECRET, "s3://bucket/x"],
        ["upload", ".", PASSWORD_URL],
        ["upload", ".", "s3://bucket/x", "--asset-name", SECRET],
        ["runs", SECRET],
        ["assets", SECRET],
        ["provenance", "collect", SECRET],
        ["check-logs", SECRET],
        ["check-logs", "--secrets", SECRET],
    ],
)
def test_errors_of_commands(
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """An error repeats a wrong argument without the secrets of the environment and of known forms."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    shown = "".join(capsys.readouterr())
    assert exited.value.code != 0
    assert "[redacted]" in shown
    assert SECRET not in shown
    assert "quokka" not in shown


def test_a_texts_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is found in a text is shown with the text's name, but without a secret in it."""
    monkeypatch.setenv("LAB_TOKEN", "quokka-pw-9")
    path = tmp_path / "of quokka-pw-9.txt"
    path.write_text("password=hunter2hunter2\n")
    with pytest.raises(SystemExit):
        main(["check-logs", "--secrets", str(path)])
    shown = "".join(capsys.readouterr())
    assert "of [redacted].txt:1: " in shown
    assert "of [redacted].txt: 1 of 1 lines" in shown
    assert "quokka" not in shown


def test_names_of_assets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The list of assets for people shows a folder's name without a secret in it."""
    monkeypatch.setenv("LAB_TOKEN", "quokka-pw-9")
    folder = tmp_path / "of quokka-pw-9"
    folder.mkdir()
    for expected in ("There is no data asset in ", "subject      123456"):
        with pytest.raises(SystemExit) as exited:
            main(["assets", str(folder)])
        shown = "".join(capsys.readouterr())
        assert exited.value.code == 0
        assert expected in shown
        assert "of [redacted]" in shown
        assert "quokka" not in shown
        (folder / "a").mkdir(exist_ok=True)
        (folder / "a" / "subject.json").write_text('{"subject_id": "123456"}')


def test_problems_of_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`upload` names a wrong setting without the secret that was given for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    monkeypatch.setenv("CAPSULE_GRACE", SECRET)
    with pytest.raises(SystemExit):
        main(["upload", ".", "s3://bucket/x", "--asset-name", SECRET])
    shown = capsys.readouterr().err
    assert "grace is '[redacted]'; expected seconds" in shown
    assert SECRET not in shown


def test_problems_of_settings_inside(capsule: Capsule) -> None:
    """`configure_logging` says what is wrong with a setting without the secret that was given for it."""
    (capsule.code / "capsule.toml").write_text(f'[log]\nlevel = "{SECRET}"\n')
    script = capsule.write("inside.py", "from aind_capsule import configure_logging as c; c()\n")
    environ = {**capsule.environ, "LAB_TOKEN": SECRET, "CAPSULE_GRACE": SECRET}
    done = subprocess.run([sys.executable, str(script)], cwd=capsule.code, env=environ,
                          capture_output=True, check=True)  # fmt: skip
    assert done.stderr.count(b"is '[redacted]'; expected") == 2
    assert SECRET.encode() not in done.stderr
    (capsule.code / "capsule.toml").write_text(f"[log]\n{SECRET} = = 1\n")
    done = subprocess.run([sys.executable, str(script)], cwd=capsule.code, env=environ,
                          capture_output=True, check=True)  # fmt: skip
    assert b"capsule.toml" in done.stderr
    assert SECRET.encode() not in done.stderr


def test_answers_of_a_server(capsule: Capsule) -> None:
    """What a server answers is shown without a secret that it repeats."""
    loki = LokiDouble()

    def refuse(_request: Request) -> tuple[int, str]:
        return 400, f"what is {SECRET}?"

    loki.trouble.answer = refuse
    env = {"LAB_TOKEN": SECRET, "CAPSULE_LOKI__URL": loki.url}
    done = capsule.run("true", env=env)
    loki.stop()
    assert loki.requests
    files = [path for path in capsule.root.rglob("*") if path.is_file()]
    for place in (done.stdout, done.stderr, *(path.read_bytes() for path in files)):
        assert SECRET.encode() not in place
    assert b"what is [redacted]?" in done.stderr
