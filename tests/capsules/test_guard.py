"""`capsule guard`: what it prints for the shell, and that it never stands in a script's way."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aind_capsule.capsules.guard import (
    GUARD_LINE,
    drop_emulator,
    find_in_path,
    read_option_letters,
)
from tests.capsules.scripts import skip_without, write_launcher
from tests.conftest import ROOT, Capsule, wait_until

#: Prints what the guard line would evaluate.
ASK = 'capsule guard $$ "$0" "$@"\n'


@pytest.fixture
def environ(capsule: Capsule) -> dict[str, str]:
    """An environment with `capsule` on PATH."""
    write_launcher(capsule.root / "bin" / "capsule")
    return {**capsule.environ, "PATH": f"{capsule.root}/bin:/usr/bin:/bin"}


def ask(capsule: Capsule, environ: dict[str, str], *how: str, **more: object) -> tuple[str, str]:
    """Start a script that prints what it would evaluate; returns its stdout and stderr."""
    if not (capsule.code / "run").exists():
        capsule.write("run", f"#!/bin/bash\n{ASK}")
    done = subprocess.run(
        how or ("./run",), cwd=capsule.code, env=environ, capture_output=True, text=True,
        check=True, timeout=60, **more,
    )  # fmt: skip
    return done.stdout, done.stderr


def test_the_line_is_the_same_everywhere() -> None:
    """Scripts and pages show the guard line byte for byte, in scripts under the #! line."""
    for name in ("capsule_template/code/run", "code/run"):
        assert (ROOT / name).read_text().splitlines()[1] == GUARD_LINE, name
    pages = [
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        *ROOT.glob("capsule_template/*.md"),
    ]
    shown = [
        (page.name, line)
        for page in pages
        for line in page.read_text().splitlines()
        if "CAPSULE_WRAPPER_PID-" in line or "CAPSULE_WRAPPER_PID:" in line or "guard $$" in line
    ]
    assert {line for _, line in shown} == {GUARD_LINE}
    assert "wrap-a-capsule.md" in {name for name, _ in shown}


def test_it_prints_one_command_with_the_interpreter_and_its_options(
    capsule: Capsule, environ: dict[str, str]
) -> None:
    """The shell adds script and arguments itself, so that their bytes are its own."""
    here = f"exec {capsule.root}/bin/capsule run -- "
    end = ' "$0" "$@"\n'
    assert ask(capsule, environ, "./run", "a", "--help") == (f"{here}/bin/bash{end}", "")
    out, _ = ask(capsule, environ, "bash", "-eo", "pipefail", "-O", "extglob", "run", "--", "-e")
    assert out == f"{here}/usr/bin/bash -eo pipefail -O extglob{end}"
    out, _ = ask(capsule, environ, "bash", "--rcfile", "", "-e", "run")
    assert out == f"{here}/usr/bin/bash --rcfile '' -e{end}"


def test_the_callers_options_are_not_a_scripts(capsule: Capsule, environ: dict[str, str]) -> None:
    """bash reads a text without a #! line in a copy of itself, whose command line is its own."""
    capsule.write("run", ASK)
    capsule.write("caller", "./run\n")
    for how in (("bash", "-ec", "./run"), ("bash", "-ec", "./run a; :"), ("bash", "-e", "caller")):
        out, err = ask(capsule, environ, *how)
        assert out.endswith(' run -- /usr/bin/bash "$0" "$@"\n'), (how, err)


def test_every_byte_of_an_interpreters_name_is_kept(
    capsule: Capsule, environ: dict[str, str]
) -> None:
    """Spaces, quotes, newlines and bytes that are no UTF-8 stand quoted in what is printed."""
    odd = os.fsencode(capsule.code) + b"/a 'b\" $c\n\xff\\"
    os.makedirs(odd)
    os.symlink("/bin/bash", odd + b"/bash")
    capsule.write("run", f"#!/bin/bash\n{ASK}")
    done = subprocess.run(
        [odd + b"/bash", "run"], cwd=capsule.code, env=environ, capture_output=True, check=True
    )
    words = shlex.split(os.fsdecode(done.stdout))
    assert words[-3:] == [os.fsdecode(odd) + "/bash", "$0", "$@"]


@pytest.mark.parametrize(
    "how", ["link", "relative", "module", "interpreter", "no program", "other shebang"]
)
def test_the_very_capsule_is_named_whatever_path_is_set_later(
    capsule: Capsule, environ: dict[str, str], how: str
) -> None:
    """A link, a relative folder in PATH, `python -m`: what is printed starts it from everywhere."""
    folder = capsule.root / "bin"
    launcher = folder / "capsule"
    expected = [str(launcher)]
    if how == "link":
        launcher.rename(folder / "real")
        launcher.symlink_to("real")
    elif how == "relative":
        environ["PATH"] = "../bin:/usr/bin:/bin"
    elif how == "module":
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -s -m aind_capsule "$@"\n')
        expected = [sys.executable, "-s", "-m", "aind_capsule"]
    elif how == "interpreter":
        shutil.copy(launcher, folder / "script.py")
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -s {folder}/script.py "$@"\n')
        expected = [sys.executable, "-s", f"{folder}/script.py"]
    elif how == "no program":
        launcher.rename(folder / "script.py")
        (folder / "script.py").chmod(0o644)
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" {folder}/script.py "$@"\n')
        launcher.chmod(0o755)
        expected = [sys.executable, f"{folder}/script.py"]
    else:  # one that needs PATH
        launcher.write_text(launcher.read_text().replace(sys.executable, "/usr/bin/env python3"))
        (folder / "python3").symlink_to(sys.executable)
        environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        expected = [str(folder / "python3"), str(launcher)]
    out, err = ask(capsule, environ)
    words = shlex.split(out)
    assert words == ["exec", *expected, "run", "--", "/bin/bash", "$0", "$@"], err
    done = subprocess.run(
        [*words[1:-5], "--version"], cwd="/", env={**environ, "PATH": "/none"}, check=False
    )
    assert done.returncode == 0


def test_inside_a_run_it_prints_nothing_whatever_the_variable_says(
    capsule: Capsule, environ: dict[str, str]
) -> None:
    """The environment at the start counts: a profile that unsets the marker makes no endless loop."""
    start = 'CAPSULE_WRAPPER_PID=$$ bash -c "unset CAPSULE_WRAPPER_PID; . ./run" ./run; :'
    assert ask(capsule, environ, "bash", "-c", start) == ("", "")
    other = 'CAPSULE_WRAPPER_PID=$PPID bash run; CAPSULE_WRAPPER_PID="" bash run; :'
    out, err = ask(capsule, environ, "bash", "-c", other)
    assert (out.count('run -- /usr/bin/bash "$0" "$@"\n'), err) == (2, "")


@pytest.mark.slow
def test_where_proc_shows_other_processes_nothing_is_wrapped(
    capsule: Capsule, environ: dict[str, str]
) -> None:
    """In a process namespace without a /proc of its own the shell's number is another process's."""
    words = ("unshare", "--pid", "--fork")
    skip_without("unshare")
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process namespace may be made here")
    out, err = ask(capsule, environ, *words, "./run")
    assert out == ""
    assert err == (
        "aind-capsule: /proc is that of another process namespace; going on without it\n"
    )


def test_a_shell_whose_environment_is_not_ours_to_read(
    capsule: Capsule, environ: dict[str, str]
) -> None:
    """Then what it exports counts, and its command line is enough."""
    skip_without("setpriv")
    shutil.copy("/bin/bash", capsule.code / "bash")
    (capsule.code / "bash").chmod(0o111)
    dropped = "--bounding-set=-all"
    words = ["setpriv", dropped, "env"] if os.geteuid() == 0 else []
    capsule.write("run", f"#!/bin/bash\ncat /proc/$$/environ >&2 || :\n{ASK}")
    out, err = ask(capsule, environ, *words, "./bash", "-e", "run")
    assert "Permission denied" in err
    assert out.endswith('capsule run -- ./bash -e "$0" "$@"\n')
    out, _ = ask(capsule, environ, *words, "sh", "-c", "CAPSULE_WRAPPER_PID=$$ ./bash run; :")
    assert out == ""


def test_an_emulator_is_dropped() -> None:
    """The kernel puts it before a foreign program by itself."""
    table = {
        "qemu-x86_64 /bin/bash -e": "/bin/bash -e",
        "/usr/bin/qemu-aarch64-static -cpu max /bin/bash bash -x": "/bin/bash -x",
        "/run/rosetta/rosetta /bin/sh -sh": "/bin/sh",
        "/run/rosetta/rosetta": "",
        "/bin/bash /bin/bash": "/bin/bash /bin/bash",
        "rosetta-stone.sh": "",
    }
    for words, expected in table.items():
        assert b" ".join(drop_emulator(words.encode().split())) == expected.encode(), words


def test_a_program_is_looked_for_as_execve_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders and files that may not be executed are passed over; an empty entry is here."""
    for folder in ("a/sh", "b", "c"):
        (tmp_path / folder).mkdir(parents=True)
    for name, mode in (("b/sh", 0o644), ("c/sh", 0o755)):
        (tmp_path / name).touch(mode)
    path = ":".join(str(tmp_path / folder) for folder in ("a", "none", "b", "c")).encode()
    assert find_in_path(b"sh", path, os.X_OK) == os.fsencode(tmp_path / "c/sh")
    assert find_in_path(b"sh", path, os.R_OK) == os.fsencode(tmp_path / "b/sh")
    assert find_in_path(b"nosuch", path, os.X_OK) == b""
    monkeypatch.chdir(tmp_path / "c")
    assert find_in_path(b"sh", b"/nosuch:", os.R_OK) == b"./sh"


def test_option_letters_are_told_from_operands() -> None:
    """Operands of options are no options, and a word that is neither is no option of the shell."""
    table = {
        ("bash", "-eu -o pipefail"): b"euo",
        ("bash", "-Oo extglob pipefail -x"): b"Oox",
        ("bash", "+o posix"): b"o",
        ("bash", "--rcfile -c -i"): b"i",
        ("bash", "-rcfile c -norc"): b"",
        ("bash", "-ec code"): None,
        ("bash", "caller.sh"): None,
        ("bash", "posix"): None,
        ("bash", "-e - x"): None,
        ("bash", "-c"): b"c",
        ("dash", "-norc"): b"norc",
        ("bash", "--restricted"): b"r",
        ("zsh", "-o restricted"): b"or",
        ("zsh", "-eopipefail -x"): b"eox",
        ("zsh", "--emulate sh"): b"",
        ("mksh", "-opipefail"): b"o",
        ("/bin/busybox", "sh -e"): b"e",
        ("/bin/busybox", ""): None,
        ("/bin/busybox", "awk"): None,
    }
    for (shell, words), letters in table.items():
        found = read_option_letters(shell.encode(), words.encode().split())
        assert found == letters, (shell, words)


@pytest.mark.parametrize(
    "arguments", [(), ("1",), ("x", "run"), ("0", "run"), ("999999999", "run"), ("--help",)]
)
def test_whatever_fails_is_one_line_and_the_script_goes_on(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Exit status 0, nothing to evaluate, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "aind_capsule", "guard", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ""
    assert done.stderr.startswith("aind-capsule: ")
    assert done.stderr.endswith("; going on without it\n")
    assert done.stderr.count("\n") == 1


def test_names_of_scripts_reach_the_terminal_without_control_characters(tmp_path: Path) -> None:
    """A script that is named to be evil changes no terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "aind_capsule", "guard", str(os.getpid()), b"a\x1b[2J\n\xff"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.isascii()
    assert b"\x1b" not in done.stderr


def test_ctrl_c_while_it_looks_ends_the_script_too() -> None:
    """It dies of SIGINT, by which a shell knows that the person meant all of it."""
    script = (
        "import aind_capsule.capsules.guard as guard\n"
        "def build_code(*_): raise KeyboardInterrupt\n"
        "guard.build_code = build_code\n"
        "guard.guard(['1', 'run'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_it_imports_nothing_that_python_has_not_loaded(capsule: Capsule) -> None:
    """Every start of a script waits for it: no click, no re, no typing."""
    script = (
        "import sys; before = set(sys.modules)\n"
        "sys.argv = ['capsule', 'guard', '1', 'x']\n"
        "import os; os._exit = lambda status: sys.exit(print(sorted(set(sys.modules) - before)))\n"
        "from aind_capsule.__main__ import start; start()\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], cwd=capsule.code,
                          capture_output=True, text=True, check=True)  # fmt: skip
    loaded = done.stdout.strip("[]\n").replace("'", "").split(", ")
    ours = [name for name in loaded if name.startswith("aind_capsule")]
    assert ours == ["aind_capsule", "aind_capsule.__main__", "aind_capsule.capsules",
                    "aind_capsule.capsules.guard", "aind_capsule.version"]  # fmt: skip
    assert set(loaded) - set(ours) <= {"__future__"}


def test_a_stop_reaches_the_scripts_trap(capsule: Capsule, environ: dict[str, str]) -> None:
    """SIGTERM to the process that was started: the trap runs, and its status is the script's."""
    body = "trap 'echo bye; exit 9' TERM\n: > ready\nsleep 60 & wait\n"
    capsule.write("run", f"#!/bin/sh\n{GUARD_LINE}\n{body}")
    process = subprocess.Popen(["./run"], cwd=capsule.code, env=environ, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    wait_until((capsule.code / "ready").exists)
    process.terminate()
    assert process.communicate(timeout=30)[0] == b"bye\n"
    assert process.returncode == 9
    assert capsule.run_json()["status"] == "stopped"


def test_a_kill_leaves_the_run_as_lost(capsule: Capsule, environ: dict[str, str]) -> None:
    """SIGKILL to the process that was started ends the wrapper: its script does not live on."""
    capsule.write("run", f"#!/bin/sh\n{GUARD_LINE}\necho $$ > pid\nexec sleep 60\n")
    process = subprocess.Popen(["./run"], cwd=capsule.code, env=environ,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    wait_until(lambda: (capsule.code / "pid").exists() and (capsule.code / "pid").read_text())
    pid = int((capsule.code / "pid").read_text())
    assert pid != process.pid
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_an_older_toolkit_without_the_command_is_gone_on_without(
    capsule: Capsule, environ: dict[str, str]
) -> None:
    """Its usage error is on stderr, and the script runs."""
    launcher = capsule.root / "bin" / "capsule"
    launcher.write_text("#!/bin/sh\necho \"Error: No such command '$1'.\" >&2\nexit 2\n")
    capsule.write("run", f"#!/bin/sh -e\n{GUARD_LINE}\necho hi\n")
    assert ask(capsule, environ) == ("hi\n", "Error: No such command 'guard'.\n")


def test_the_template_keeps_the_command_where_profiles_look() -> None:
    """Debian's /etc/profile sets PATH anew and keeps /usr/local/bin: a link to the toolkit is there."""
    text = (ROOT / "capsule_template/environment/postInstall").read_text()
    assert "ln -sf /opt/aind-capsule/bin/capsule /usr/local/bin/capsule\n" in text
