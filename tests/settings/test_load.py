"""Where settings come from, which source wins, and what is said when one is wrong."""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.errors import SettingsError
from aind_capsule.settings.load import (
    LoadedSettings,
    find_code_folder,
    find_user_file,
    load_settings,
)
from aind_capsule.settings.model import ROWS, Settings, build_settings
from aind_capsule.settings.secret import Secret


class Sources:
    """A code folder, a home folder and an environment for the settings to be read from."""

    def __init__(self, root: Path) -> None:
        self.code = root / "code"
        self.code.mkdir()
        self.user_file = root / "home" / ".config" / "aind-capsule" / "capsule.toml"
        self.user_file.parent.mkdir(parents=True)
        self.environ = {"HOME": str(root / "home")}

    def write(self, text: str) -> None:
        """Write the capsule's file."""
        (self.code / "capsule.toml").write_text(text)

    def load(self, flags: dict[str, Any] | None = None, **environ: str) -> LoadedSettings:
        """Read all sources."""
        folder = str(self.code) if (self.code / "capsule.toml").exists() else None
        return load_settings(flags or {}, {**self.environ, **environ}, folder)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """No source says anything yet."""
    return Sources(tmp_path)


def test_with_nothing_set_all_is_default(sources: Sources) -> None:
    """Without any source every setting has its default, and nothing is wrong."""
    loaded = sources.load()
    assert asdict(loaded.settings) == asdict(Settings())
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.sources.keys() == {row.key for row in ROWS}
    assert loaded.problems == ()


def test_precedence(sources: Sources) -> None:
    """Flag, environment, the capsule's file, the user's file, default: the first that says it wins."""
    steps = [("default", 5.0)]
    sources.user_file.write_text("grace = 1\n")
    steps.append((str(sources.user_file), 1.0))
    assert sources.load().settings.grace == 1.0
    sources.write("grace = 2\n")
    loaded = sources.load()
    assert (loaded.settings.grace, loaded.sources["grace"]) == (
        2.0,
        str(sources.code / "capsule.toml"),
    )
    loaded = sources.load(CAPSULE_GRACE="3s")
    assert (loaded.settings.grace, loaded.sources["grace"]) == (3.0, "CAPSULE_GRACE")
    loaded = sources.load({"grace": "4"}, CAPSULE_GRACE="3s")
    assert (loaded.settings.grace, loaded.sources["grace"]) == (4.0, "--grace")


def test_our_variable_before_the_platforms(sources: Sources) -> None:
    """CAPSULE_… comes before the name that the platform has for it; empty variables say nothing."""
    both = {"CAPSULE_PROCESS_NAME": "ours", "PROCESS_NAME": "theirs"}
    assert sources.load(**both).sources["process_name"] == "CAPSULE_PROCESS_NAME"
    assert sources.load(PROCESS_NAME="theirs").settings.process_name == "theirs"
    assert (
        sources.load(CAPSULE_PROCESS_NAME="", PROCESS_NAME="theirs").settings.process_name
        == "theirs"
    )
    assert sources.load(CAPSULE_PROCESS_NAME="").sources["process_name"] == "default"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_every_row_reads_what_it_writes(row: Any) -> None:
    """A default that is not None is read as itself: by its own parser, and as text of a variable."""
    assert row.description.endswith(".")
    assert row.form
    if row.default is None or row.default in ((), {}):
        assert getattr_by_key(build_settings({}), row.key) == row.default
        return
    assert row.parse(row.default) == row.default
    text = str(row.default).lower() if isinstance(row.default, bool) else str(row.default)
    if isinstance(row.default, tuple):
        text = ", ".join(row.default)
    assert row.parse(text) == row.default


def getattr_by_key(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


def test_every_row_is_reached(sources: Sources) -> None:
    """Each setting takes effect from the file, and from its variable unless it is the file's alone."""
    values: dict[str, tuple[Any, str]] = {
        "process_name": ("a", "a"), "pipeline_name": ("a", "a"), "pipeline_version": ("1", "1"), "pipeline_url": ("u", "u"),
        "experiment_id": ("e", "e"), "user_id": ("u", "u"), "experimenters": (("A", "B"), "A,B"), "data": ("/d", "/d"),
        "results": ("/r", "/r"), "scratch": ("/s", "/s"), "run_files": (frozenset({"log"}), "log"), "results_are_jobs": (True, "true"),
        "fields": ({"site": "x"}, "site=x"), "timeout": (60.0, "1m"), "grace": (9.0, "9"), "merge_streams": (True, "true"),
        "strict": (True, "true"), "log.level": ("ERROR", "error"), "log.max_bytes": (1_000_000, "1 MB"), "console.mode": ("off", "off"),
        "console.level": ("ERROR", "error"), "session.enabled": (True, "yes"), "session.level": ("DEBUG", "debug"), "history.keep_days": (3.0, "3"),
        "resources": (5.0, "5s"), "redact.fields": (("a", "b"), "a,b"), "redact.patterns": ((re.compile("a", re.MULTILINE),), "a"),
        "redact.values_from_env": (("LAB_*",), "LAB_*"), "redact.names_off": (("a", "b"), "a,b"), "redact.output": (True, "true"),
        "secrets_folder": ("/s", "/s"), "shipping.deadline": (120.0, "2m"), "shipping.labels": (("a", "b=c"), "a, b=c"),
        "shipping.metadata": (("a", "b"), "a,b"), "loki.url": ("http://h:3100/x", "http://h:3100/x"), "loki.user": ("u", "u"),
        "loki.password": (Secret("p w"), "p w"), "loki.token": (Secret("t"), "t"), "loki.tenant": ("t", "t"),
        "loki.headers": ({"X-A": Secret("b")}, "X-A=b"), "loki.timeout": (2.5, "2.5"), "loki.verify": (False, "false"),
        "loki.ca_file": (__file__, __file__), "loki.client_cert": (__file__, __file__), "loki.client_key": (__file__, __file__),
        "s3.endpoint_url": ("http://h", "http://h"), "s3.region_name": ("us-west-2", "us-west-2"), "s3.addressing_style": ("path", "Path"),
        "s3.verify": (False, "no"), "s3.checksum": ("none", "none"), "s3.max_concurrency": (32, "32"), "s3.retry_for": (60.0, "1m"),
        "s3.server_side_encryption": ("aws:kms", "aws:kms"), "s3.sse_kms_key_id": ("k", "k"), "s3.storage_class": ("GLACIER", "GLACIER"),
        "s3.acl": ("private", "private"), "s3.tagging": ({"lab": "x"}, "lab=x"), "s3.request_payer": ("requester", "requester"),
        "upload.url": ("s3://bb/x", "s3://bb/x/"), "upload.asset_name": ("a b", "a b"), "upload.on_failure": ("all", "all"),
        "upload.required": (False, "no"),
        "upload.label": ("sorted-ks4", "sorted-ks4"), "upload.content_types": ({".nwb": "a/b"}, ".nwb=a/b"),
        "provenance.process_type": ("Spike sorting", "Spike sorting"), "provenance.stage": ("Analysis", "analysis"),
        "provenance.code_url": ("u", "u"), "provenance.code_version": ("1", "1"), "provenance.container": ("a/b:1", "a/b:1"),
        "provenance.schema_version": (1, "1"), "provenance.carry_metadata": ("agreed", "true"),
    }  # fmt: skip
    assert values.keys() == {row.key for row in ROWS}
    for row in ROWS:
        expected, text = values[row.key]
        table, _, name = row.key.rpartition(".")
        quoted = text if text == "true" else f'"{text}"'
        if not row.is_secret:
            sources.write(f"[{table}]\n{name} = {quoted}\n" if table else f"{name} = {quoted}\n")
            loaded = sources.load()
            assert (loaded.problems, getattr_by_key(loaded.settings, row.key)) == ((), expected)
            (sources.code / "capsule.toml").unlink()
        for variable in row.env:
            loaded = sources.load(**{variable: text})
            assert (loaded.problems, getattr_by_key(loaded.settings, row.key)) == ((), expected)
            assert loaded.sources[row.key] == variable


def test_settings_of_the_file_alone(sources: Sources) -> None:
    """What only the capsule's author may say is taken from its file, not from variables or the user's."""
    sources.user_file.write_text("results_are_jobs = true\n")
    loaded = sources.load(CAPSULE_RESULTS_ARE_JOBS="true")
    assert loaded.settings.results_are_jobs is False
    assert [problem.is_error for problem in loaded.problems] == [False, False]
    assert any("own capsule.toml only" in problem.message for problem in loaded.problems)
    sources.write("results_are_jobs = true\n")
    assert sources.load().settings.results_are_jobs is True


def test_tables_are_merged(sources: Sources) -> None:
    """Fields of all sources come together; of equal names the stronger source's holds."""
    sources.user_file.write_text('[fields]\nsite = "user"\nuser = 1\n')
    sources.write('[fields]\nsite = "file"\nfile = 2\n')
    loaded = sources.load({"fields": ["flag=4"]}, CAPSULE_FIELDS="site=variable")
    assert loaded.settings.fields == {"site": "variable", "user": 1, "file": 2, "flag": "4"}


@pytest.mark.parametrize("text", ["process_name = [", "= 3", "grace = 1\ngrace = 2\n"])
def test_a_malformed_file(sources: Sources, text: str) -> None:
    """The capsule's file that is no TOML is an error that names it; a user's is a problem."""
    sources.write(text)
    with pytest.raises(SettingsError, match="capsule.toml") as raised:
        sources.load()
    assert raised.value.exit_status == 78
    assert raised.value.hint
    (sources.code / "capsule.toml").unlink()
    sources.user_file.write_text(text)
    loaded = sources.load()
    assert asdict(loaded.settings) == asdict(Settings())
    assert [(problem.is_error, problem.is_fatal) for problem in loaded.problems] == [(True, False)]


def test_a_file_that_is_no_text(sources: Sources) -> None:
    """A file of bytes, and a folder of that name, are errors that say so."""
    path = sources.code / "capsule.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not valid TOML"):
        sources.load()
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        sources.load()


@pytest.mark.parametrize(
    ("text", "key", "is_fatal"),
    [
        ('grace = "soon"', "grace", False),
        ('console = { mode = "loud" }', "console.mode", False),
        ("log = { level = 3 }", "log.level", False),
        ("scratch = 7", "scratch", True),
        ("fields = 3", "fields", False),
        ("experimenters = [1]", "experimenters", False),
        ("timeout = -1", "timeout", False),
        ("strict = 2026-01-01", "strict", False),
    ],
)
def test_wrong_values(sources: Sources, text: str, key: str, is_fatal: bool) -> None:
    """A wrong value is named with what was expected; the weaker source's holds."""
    sources.write(text + "\n")
    loaded = sources.load()
    (problem,) = loaded.problems
    assert (problem.is_error, problem.is_fatal) == (True, is_fatal)
    assert key in problem.message
    assert "expected" in problem.message
    assert asdict(loaded.settings) == asdict(Settings())
    assert loaded.sources[key] == "default"


@pytest.mark.parametrize("name", ["CA_FILE", "CLIENT_CERT", "HEADERS", "TIMEOUT", "URL"])
def test_a_wrong_value_turns_a_destination_off(sources: Sources, name: str) -> None:
    """Half-configured, records would go elsewhere or unprotected: until it is corrected nothing goes."""
    sources.write('[loki]\nurl = "http://h:3100"\ntenant = "t"\n')
    loaded = sources.load(**{f"CAPSULE_LOKI__{name}": "a b"})
    (problem,) = loaded.problems
    assert problem.is_error
    assert f"CAPSULE_LOKI__{name}" in problem.message
    assert "nothing goes to loki.url" in problem.hint
    assert (loaded.settings.loki.url, loaded.sources["loki.url"]) == (None, "default")
    assert loaded.settings.loki.tenant == "t"


def test_a_stronger_value_heals(sources: Sources) -> None:
    """A wrong value that a stronger source replaces turns nothing off."""
    sources.write('[loki]\nurl = "http://h:3100"\ntimeout = "soon"\n')
    loaded = sources.load(CAPSULE_LOKI__TIMEOUT="3")
    assert len(loaded.problems) == 1
    assert (loaded.settings.loki.url, loaded.settings.loki.timeout) == ("http://h:3100", 3.0)


def test_unknown_names(sources: Sources) -> None:
    """An unknown key is a warning, with the name that may be meant; the rest of the file holds."""
    sources.write(
        'proces_name = "x"\ncolour = 3\nkeep_days = 3\n[lokki]\nurl = "http://h"\n[log]\nlevl = "INFO"\n[strange]\nx = 1\n[history]\nkeep_days = 2\n'
    )
    loaded = sources.load()
    assert loaded.settings.history.keep_days == 2
    assert not any(problem.is_error for problem in loaded.problems)
    hints = {problem.message.rpartition(" ")[2]: problem.hint for problem in loaded.problems}
    assert hints.keys() == {
        "'proces_name'", "'colour'", "'keep_days'", "'lokki.url'", "'log.levl'", "'strange.x'",
    }  # fmt: skip
    assert "process_name" in hints["'proces_name'"]
    assert "log.level" in hints["'log.levl'"]
    assert "history.keep_days" in hints["'keep_days'"]
    assert "loki.url" in hints["'lokki.url'"]
    assert "Did you mean" not in hints["'colour'"] + hints["'strange.x'"]


def test_a_table_where_a_value_belongs(sources: Sources) -> None:
    """A value where the table has settings below it, and a table where there are none, are told."""
    sources.write('log = "INFO"\n[grace]\nx = 1\n')
    loaded = sources.load()
    assert asdict(loaded.settings) == asdict(Settings())
    assert len(loaded.problems) == 2


def test_unknown_variables(sources: Sources) -> None:
    """An unknown CAPSULE_ variable and a near miss of the platform's are warnings."""
    loaded = sources.load(CAPSULE_GRACES="3", PIEPLINE_NAME="x", CAPSULE_SOCKET="/s", OTHER="y")
    told = {problem.message.rpartition(" ")[2]: problem.hint for problem in loaded.problems}
    assert told == {
        "CAPSULE_GRACES": "Did you mean CAPSULE_GRACE?",
        "PIEPLINE_NAME": "Did you mean PIPELINE_NAME?",
    }
    assert not any(problem.is_error for problem in loaded.problems)


def test_where_the_capsules_file_is(tmp_path: Path) -> None:
    """Where the program lies, else in the working folder, else the platform's; never in a `code` folder
    below, and never above a program's folder unless that is below `code`."""
    names = ("at/code/deep/er", "cwd/code", "platform", "above/tools")
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    cwd = tmp_path / "cwd"

    def find(*scripts: str, cwd: Path = cwd) -> str | None:
        found = find_code_folder(scripts, str(cwd), str(tmp_path / "platform"))
        return found and os.path.relpath(found, tmp_path)

    deep = str(tmp_path / "at/code/deep/er/run")
    for place, script in (
        ("above", str(tmp_path / "above/tools/run")),
        ("cwd/code", "x"),
        ("at", deep),
    ):
        (tmp_path / place / "capsule.toml").write_text("")
        assert find(script) is None
    assert find("code/run") == "cwd/code"
    for place in ("platform", "cwd", "at/code", "at/code/deep/er"):
        (tmp_path / place / "capsule.toml").write_text("")
        assert find(deep) == place
    assert find("nothing", deep, cwd=tmp_path) == "at/code/deep/er"
    assert find() == find("run") == "cwd"
    assert find("../at/code/run") == "at/code"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/h"}, "/h/.config/aind-capsule/capsule.toml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/aind-capsule/capsule.toml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": ""}, "/h/.config/aind-capsule/capsule.toml"),
        ({}, None),
    ],
)
def test_where_the_users_file_is(environ: dict[str, str], expected: str | None) -> None:
    """Below XDG_CONFIG_HOME, else below the home folder's `.config`, else nowhere."""
    found = find_user_file(environ)
    assert (str(found) if found else None) == expected


def test_settings_are_frozen() -> None:
    """Nobody changes a setting after it was read, and defaults are shared by nobody."""
    settings = Settings()
    with pytest.raises(AttributeError):
        settings.grace = 3.0  # type: ignore[misc]
    assert settings.fields is not Settings().fields
