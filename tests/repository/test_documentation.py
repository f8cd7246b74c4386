"""Every command, option, setting, field and variable is documented."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click import Context

from aind_capsule.cli import COMMANDS, root
from aind_capsule.records.schema import FIELDS
from aind_capsule.settings.model import ROWS
from aind_capsule.settings.names import PLATFORM_VARIABLES, WRAPPER_VARIABLES
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "docs"))
from generate import TABLES, build_fields_page, build_settings_page, insert_table  # noqa: E402


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_documented(name: str) -> None:
    """Each command has its page section, its row in the README, and help for each of its options."""
    assert f":prog: capsule {name}" in (ROOT / "docs/reference/commands.md").read_text()
    assert f"`capsule {name}" in (ROOT / "README.md").read_text()
    command = root.get_command(Context(root), name)
    assert command is not None
    assert command.help
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", ""), parameter.name


def test_settings_are_documented() -> None:
    """The generated page names each setting, its flag and its variables; each has a description."""
    page = build_settings_page()
    for row in ROWS:
        assert row.description.endswith("."), row.key
        for name in (row.key, row.flag, *row.env):
            assert f"`{name}`" in page or not name, name


def test_flags_of_settings_exist() -> None:
    """Each flag that the settings' table names is an option of `capsule run`."""
    command = root.get_command(Context(root), "run")
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    assert {row.flag for row in ROWS if row.flag} <= options


def test_fields_are_documented() -> None:
    """The generated page names each field of a record."""
    page = build_fields_page()
    for field in FIELDS:
        assert f"| `{field.name}` |" in page
        assert field.description.endswith(".")


@pytest.mark.parametrize("name", TABLES)
def test_tables_within_pages_are_those_of_the_code(name: str) -> None:
    """Pages that people read on GitHub have the tables as `docs/generate.py` writes them."""
    page = (ROOT / "docs" / name).read_text()
    assert insert_table(page, TABLES[name]()) == page


def test_variables_are_documented() -> None:
    """Each variable that the wrapper sets or the platform gives is on the environment's page."""
    page = (ROOT / "docs/reference/environment.md").read_text()
    for name in (
        *WRAPPER_VARIABLES,
        *PLATFORM_VARIABLES,
        "CAPSULE_DATA",
        "CAPSULE_RESULTS",
        "CAPSULE_SCRATCH",
    ):
        assert f"`{name}`" in page, name


def test_no_path_of_a_machine_is_in_the_project() -> None:
    """Files of the project name no absolute path of somebody's machine."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    words = ["/" + "work/", "/home" + "/", "/" + "Users/"]
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".lock", ".png") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        assert not any(word in text for word in words), name
