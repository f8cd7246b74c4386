"""What the command line says: help that fits the terminal, one prefix, a suggestion for a slip."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from aind_capsule.cli import COMMANDS, main
from tests.conftest import Capsule
from tests.running.terminal import Terminal


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command line here; returns its status, stdout and stderr."""
    with pytest.raises(SystemExit) as exited:
        main(list(arguments))
    told = capsys.readouterr()
    return int(exited.value.code or 0), told.out, told.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rum"], "capsule: No such command 'rum'. Did you mean 'run'?"),
        (["RUNS"], "capsule: No such command 'RUNS'. Did you mean 'runs'?"),
        (["checklogs"], "capsule: No such command 'checklogs'. Did you mean 'check-logs'?"),
        (["setting"], "capsule: No such command 'setting'. Did you mean 'settings'?"),
        (["frobnicate"], "capsule: No such command 'frobnicate'."),
        (["sh", "-c", "a b"], "capsule: No such command 'sh'. To wrap it: capsule run -- sh -c 'a b'"),
        (["provenance", "colect"], "capsule provenance: No such command 'colect'. Did you mean 'collect'?"),
        (["provenance", "sh"], "capsule provenance: No such command 'sh'."),
        (["settings", "--jsn"], "--json"),
        (["run", "--timout", "3", "--", "true"], "--timeout"),
        (["--vrsion"], "--version"),
        (["--", "--vrsion"], "capsule: No such command '--vrsion'."),
    ],
)  # fmt: skip
def test_a_slip_gets_a_suggestion(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Commands, commands of groups, options: the nearest one is named, with status 2."""
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "")
    first = err.splitlines()[0]
    assert first.endswith(message) if message.startswith("capsule") else message in first
    assert first.startswith("capsule")
    assert err.count(": No such ") == 1
    assert "Error: " not in err
    assert "--help`." in err


def test_an_options_slip_names_command_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The first line has one prefix, the others are indented below it."""
    _, _, err = call(capsys, "settings", "--jsn")
    first, usage, see = err.splitlines()
    assert first.startswith("capsule settings: No such option")
    assert usage == "         Usage: capsule settings [OPTIONS]"
    assert see == "         See `capsule settings --help`."


WRAP = "capsule run: "


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ([], ["there is no command", "Give it after --: capsule run -- ./run"]),
        (["--"], ["there is no command", "Give it after --: capsule run -- ./run"]),
        (["--strict"], ["there is no command", "Give it after --: capsule run -- ./run"]),
        (["--", ""], ["the command is empty (''). Is a variable unset?", "Give it after --: capsule run -- ./run"]),
        (["", "-x"], ["the command is empty (''). Is a variable unset?", "Give it after --: capsule run -- ./run"]),
        (["ls", "-l", "a b"], ["the option -l after the command 'ls' is ambiguous", "If it is the command's: capsule run -- ls -l 'a b'", "If it is for capsule run, put it before the command."]),
        (["--strict", "./run", "x", "--timeout", "3"], ["the option --timeout after the command './run' is ambiguous", "If it is the command's: capsule run -- ./run x --timeout 3", "If it is for capsule run, put it before the command."]),
        (["ls", "--help"], ["the option --help after the command 'ls' is ambiguous", "If it is the command's: capsule run -- ls --help", "If it is for capsule run, put it before the command."]),
        (["ls", "--", "-l"], ["the option -- after the command 'ls' is ambiguous", "If it is the command's: capsule run -- ls -- -l", "If it is for capsule run, put it before the command."]),
        (["--resources", "--", "sh", "-c", "x"], ["--resources has no value; -- is in its place", "Give the value before --: capsule run --resources VALUE -- ./run"]),
        (["--process-name", "--", "true"], ["--process-name has no value; -- is in its place", "Give the value before --: capsule run --process-name VALUE -- ./run"]),
        (["--field", "a=b", "--field", "--", "true"], ["--field has no value; -- is in its place", "Give the value before --: capsule run --field VALUE -- ./run"]),
        (["--timeout", "abc", "--", "true"], ["--timeout is 'abc'; expected seconds, or numbers with d, h, m or s, such as 30, 90m, 1h30m or 30d; 0 for none", "See `capsule run --help`."]),
        (["--tty", "--redact-output", "--", "true"], ["--redact-output cannot go with --tty", "With --tty the output does not come through here; leave one of them out."]),
    ],
)  # fmt: skip
def test_each_wrong_command_line_of_run_has_its_own_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], lines: list[str]
) -> None:
    """One prefix, the value, what to do; nothing is started, and the status is 2."""
    status, out, err = call(capsys, "run", *arguments)
    assert (status, out) == (2, "")
    assert err == "\n         ".join([WRAP + lines[0], *lines[1:]]) + "\n"


@pytest.mark.parametrize(
    "words", [("--", "echo", "-n", "--", "x"), ("echo", "a", "-", "b"), ("--strict", "--", "-x")]
)
def test_words_after_two_dashes_are_the_commands(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Whatever they look like; a command without options needs no `--`, and `-` is no option."""
    from aind_capsule.cli.run import command

    context = command.make_context("run", list(words))
    expected = words[words.index("--") + 1 :] if "--" in words else words
    assert context.params["cmd"] == expected


def test_an_unreadable_setting_of_the_capsule_has_one_prefix(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the library's is the command line's own."""
    (tmp_path / "capsule.toml").write_text("= 3\n")
    monkeypatch.chdir(tmp_path)
    status, _, err = call(capsys, "settings")
    assert status == 78
    assert err.startswith(f"capsule: {tmp_path}/capsule.toml is not valid TOML")


def test_errors_fit_the_terminal(capsule: Capsule) -> None:
    """Between words, below the first one; what is to be copied stays in one line."""
    capsule.environ["COLUMNS"] = "60"
    words = ["run", "ls", "-l", "a" * 70]
    terminal = Terminal(capsule, [sys.executable, "-m", "aind_capsule", "run", "--timout", "3"])
    assert terminal.wait() == 2
    first, second, *_ = terminal.seen.decode().splitlines()
    assert first.startswith("capsule run: No such option")
    assert second.startswith("         ")
    assert len(first) <= 60
    assert len(second) <= 60
    terminal = Terminal(capsule, [sys.executable, "-m", "aind_capsule", *words])
    assert terminal.wait() == 2
    assert f"capsule run -- ls -l {'a' * 70}\r\n" in terminal.seen.decode()


@pytest.mark.parametrize("target", ["2>&-", "2>/dev/full"])
def test_an_error_that_nobody_can_read_keeps_its_status(capsule: Capsule, target: str) -> None:
    """Nothing of it is on stdout."""
    script = f'"$0" -m aind_capsule run -- "" {target}'
    done = subprocess.run(["sh", "-c", script, sys.executable], cwd=capsule.code,
                          env=capsule.environ, capture_output=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize("words", ["--help", "run --help", "--version", "settings"])
def test_an_output_that_is_full(capsule: Capsule, words: str) -> None:
    """What cannot be printed is one sentence with the system's reason, and status 74."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "aind_capsule", *words.split()], cwd=capsule.code,
            env=capsule.environ, stdout=full, stderr=subprocess.PIPE, check=False)  # fmt: skip
    assert done.returncode == 74
    assert done.stderr == b"capsule: The output cannot be written: No space left on device\n"


def test_an_error_of_a_command_is_not_taken_for_its_outputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what fails while it is printed is the output's error."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importlib.import_module("aind_capsule.cli.settings"), "load_settings", fail)
    with pytest.raises(OSError, match="No space"):
        main(["settings"])


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("command", ["", *COMMANDS, "provenance collect"])
def test_help_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    """No line is longer than the terminal, and no sentence is cut short."""
    monkeypatch.setenv("COLUMNS", str(columns))
    status, out, err = call(capsys, *command.split(), "--help")
    assert (status, err) == (0, "")
    for line in out.splitlines():
        assert len(line) <= columns, line
        assert line.startswith("Usage") or not line.endswith("..."), line
    assert shutil.get_terminal_size().columns == columns


@pytest.mark.parametrize("command", [*COMMANDS, "provenance collect"])
def test_help_says_how_it_can_end(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Each command lists its exit statuses, below one title."""
    if command == "provenance":
        return
    _, out, _ = call(capsys, *command.split(), "--help")
    assert out.count("\nExit status:\n") == 1
    assert "Exit status 0" not in out


def test_help_of_run_has_groups_statuses_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option stands once, below a title; the examples are whole lines that can be copied."""
    from aind_capsule.cli.run import command

    _, out, _ = call(capsys, "run", "--help")
    assert out.startswith("Usage: capsule run [OPTIONS] -- CMD [ARG]...\n")
    titles = [line[:-1] for line in out.splitlines() if line.endswith(":") and line[0] != " "]
    assert titles == [
        "What the run is called", "Folders and files", "Limits", "Output and measurement",
        "Upload", "Other options", "Exit status", "Examples",
    ]  # fmt: skip
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert out.count(f"\n  {parameter.opts[0]}") == 1
    for status in ("2 ", "74 ", "78 ", "124 ", "126, 127 ", "128+N "):
        assert f"\n  {status}" in out
    assert "\n  capsule run -- ./run\n" in out
    assert "\n  --  " not in out.replace("-- CMD", "--  ")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`capsule` alone lists the commands; the hidden one is not among them."""
    _, out, err = call(capsys)
    assert (out + err).startswith("Usage: capsule [OPTIONS] COMMAND [ARGS]...\n")
    assert "\nCommands:\n" in out + err
    assert "guard" not in out + err
