"""Secret settings: where they come from, where they are refused, and that nothing shows them."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aind_capsule.records.encode import encode
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.settings.load import LoadedSettings, load_settings
from aind_capsule.settings.model import ROWS, build_settings, find_secret_values
from aind_capsule.settings.secret import Secret
from tests.conftest import Capsule

SECRETS = [row for row in ROWS if row.is_secret]
VALUE = "X-Key=hush-hush"


@given(text=st.text().map(lambda text: f"hush-\u2603-{text}"))
def test_a_secret_is_not_shown(text: str) -> None:
    """Printed, formatted, in a container, a dataclass, JSON or an exception: the value is nowhere."""
    secret = Secret(text)
    settings = build_settings({"loki.token": secret, "loki.headers": {"X": secret}})
    shown = [str(secret), repr(secret), f"{secret}", f"{[secret]}", f"{settings}", f"{asdict(settings)}", str(ValueError(secret)), encode({"a": secret}).decode()]  # fmt: skip
    assert not any(text in words for words in shown)
    assert asdict(pickle.loads(pickle.dumps(settings))) == asdict(settings)
    assert copy.deepcopy(secret) == secret
    assert secret.reveal() == text


@pytest.mark.parametrize("row", SECRETS, ids=lambda row: row.key)
def test_not_from_a_file_that_is_shared(tmp_path: Path, row) -> None:
    """In capsule.toml, the capsule's or the user's, a secret is refused, named, and not repeated."""
    table, _, name = row.key.rpartition(".")
    user = tmp_path / "home" / ".config" / "aind-capsule"
    user.mkdir(parents=True)
    for folder in (tmp_path, user):
        (folder / "capsule.toml").write_text(f'[{table}]\n{name} = "{VALUE}"\n')
    loaded = load_settings({}, {"HOME": str(tmp_path / "home")}, str(tmp_path))
    assert len(loaded.problems) == 2
    for problem in loaded.problems:
        assert problem.is_error
        assert row.key in problem.message
        assert row.env[0] in problem.hint
        assert "hush" not in problem.message + problem.hint
    assert loaded.sources[row.key] == "default"


def _load(folder: Path, **environ: str) -> LoadedSettings:
    return load_settings({}, {"CAPSULE_SECRETS_FOLDER": str(folder), **environ}, None)


@pytest.mark.parametrize("row", SECRETS, ids=lambda row: row.key)
def test_from_a_folder_of_secrets(tmp_path: Path, row) -> None:
    """A file named like the variable, or in lower case, gives the secret; the variable comes first."""
    for name in (row.env[0], row.env[0].lower()):
        path = tmp_path / name
        path.write_text(VALUE + "\n")
        loaded = _load(tmp_path)
        assert (loaded.problems, loaded.sources[row.key]) == ((), str(path))
        assert any("hush-hush" in value for value in find_secret_values(loaded.settings))
        assert _load(tmp_path, **{row.env[0]: "X-Key=other"}).sources[row.key] == row.env[0]
        path.unlink()


def test_files_of_secrets_that_cannot_be_used(tmp_path: Path) -> None:
    """Too long, no text, a folder: one problem each that names the file; nothing of it is repeated."""
    (tmp_path / "CAPSULE_LOKI__TOKEN").write_text("hush" * 50_000)
    (tmp_path / "CAPSULE_LOKI__PASSWORD").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "CAPSULE_LOKI__HEADERS").mkdir()
    loaded = _load(tmp_path)
    messages = [problem.message for problem in loaded.problems]
    assert len(messages) == 3
    for name in ("TOKEN", "PASSWORD", "HEADERS"):
        assert any(f"CAPSULE_LOKI__{name}" in message for message in messages)
    assert not any("hushhush" in message for message in messages)
    assert find_secret_values(loaded.settings) == frozenset()
    assert _load(tmp_path / "nowhere").problems == ()


@pytest.mark.parametrize("row", SECRETS, ids=lambda row: row.key)
def test_a_wrong_value_is_not_repeated(row) -> None:
    """A secret that cannot be one is a problem that does not show it."""
    loaded = load_settings({}, {row.env[0]: "hush\x00\x07hush\nhush \x01"}, None)
    (problem,) = loaded.problems
    assert "hush" not in problem.message + problem.hint


def test_a_wrong_url_does_not_show_its_password() -> None:
    """The value of a wrong url is shown without what stands before the host."""
    (problem,) = load_settings({}, {"CAPSULE_LOKI__URL": "ftp://me:hush@host"}, None).problems
    assert "hush" not in problem.message
    assert "host" in problem.message


def test_the_redactor_knows_them(tmp_path: Path) -> None:
    """Secrets of files and headers, and the password of a url, are hidden in what is logged."""
    (tmp_path / "CAPSULE_LOKI__TOKEN").write_text("tok-from-file")
    given = {
        "CAPSULE_LOKI__HEADERS": "X-A=header-value",
        "CAPSULE_LOKI__URL": "http://me:url-pass@h",
    }
    loaded = _load(tmp_path, **given)
    redactor = Redactor.from_settings(loaded.settings, {})
    text = redactor.redact_text("a tok-from-file b header-value c url-pass d")
    assert text == "a [redacted] b [redacted] c [redacted] d"


def test_capsule_settings_shows_none(capsule: Capsule) -> None:
    """`capsule settings`, as text and as JSON, shows that a secret is set, and not which."""
    given = {"CAPSULE_LOKI__TOKEN": "hush-token", "CAPSULE_LOKI__HEADERS": "X-A=hush-header", "CAPSULE_LOKI__URL": "http://me:hush-url@host:1"}  # fmt: skip
    for options in ([], ["--json"]):
        done = subprocess.run([sys.executable, "-m", "aind_capsule", "settings", *options], cwd=capsule.code,
                              env={**capsule.environ, **given}, capture_output=True, text=True, check=True)  # fmt: skip
        assert "hush" not in done.stdout + done.stderr
    assert json.loads(done.stdout)["settings"]["loki.token"]["value"] == "[redacted]"


def test_the_folder_itself_is_no_secret(capsule: Capsule) -> None:
    """The path of the folder of secrets is not hidden where it stands in a line."""
    folder = capsule.root / "secret-files"
    folder.mkdir()
    run = capsule.run("echo", f"in {folder}", env={"CAPSULE_SECRETS_FOLDER": os.fspath(folder)})
    assert run.messages == [f"in {folder}"]
