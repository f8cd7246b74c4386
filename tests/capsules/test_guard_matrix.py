"""Every way to start a shell script: with the guard line it does what it does without."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.capsules.scripts import FAIL, PIPE, PROFILE, SHOW, Row, check_row

BASH = "#!/usr/bin/env bash"
PYTHON = os.path.dirname(sys.executable)
CALL = './run "$@"\n'

#: In the default suite: the others differ from one of these by what the guard does not look at.
DECISIVE = {
    "env bash": Row(BASH),
    "a failing pipe under -eo pipefail": Row("#!/usr/bin/env -S bash -eo pipefail", SHOW + PIPE),
    "sh -e": Row("#!/bin/sh -e", SHOW + FAIL),
    "bash -O extglob run": Row(BASH, how=("bash", "-O", "extglob", "run")),
    "no #! line, below bash": Row("", how=("bash", "-ue", "call.sh"), files={"call.sh": CALL}),
    "no #! line, its caller has the same last words": Row(
        "", "echo once\n", how=("bash", "caller.sh", "./run"), files={"caller.sh": '"$@"\necho after\n'},
    ),
    "sourced under its own name": Row(
        BASH, "echo $1\n", how=("bash", "-c", '. ./run "$@"; echo after', "./run"),
        is_wrapped=False, told=b"(sourced?); going on without it\n",
    ),
    "toolkit missing": Row(
        "#!/bin/sh -eu", path="/usr/bin:/bin", is_wrapped=False, told=b"capsule: not found\n",
    ),
}  # fmt: skip

ROWS = {
    # How it is started.
    "bash run": Row(BASH, how=("bash", "run")),
    "bash -x run": Row(BASH, how=("bash", "-x", "run")),
    "bash -euo pipefail run": Row(BASH, SHOW + PIPE, how=("bash", "-euo", "pipefail", "run")),
    "bash -o pipefail -e +u run": Row(BASH, SHOW + PIPE, how=("bash", "-o", "pipefail", "-e", "+u", "run")),
    "bash -norc run": Row(BASH, how=("bash", "-norc", "run")),
    "bash --rcfile f run": Row(BASH, how=("bash", "--rcfile", "/dev/null", "run")),
    "bash -i --rcfile f run": Row(BASH, how=("bash", "--rcfile", "{code}/rc", "-i", "run"), files={"rc": PROFILE}),
    "bash -e -- run": Row(BASH, SHOW + FAIL, how=("bash", "-e", "--", "run")),
    "sh run": Row(BASH, how=("sh", "run")),
    "dash run": Row(BASH, how=("dash", "run"), needs=("dash",)),
    "mode 644": Row(BASH, how=("bash", "run"), mode=0o644),
    "mode 644, chmod first": Row("#!/bin/bash -e", SHOW + FAIL, how=("bash", "-uec", 'chmod +x run; ./run "$@"', "x"), mode=0o644),
    "by a link": Row("#!/bin/bash -e", how=("../link",)),
    "from another folder": Row(BASH, how=("code/run",), cwd="{code}/.."),
    "absolute": Row(BASH, how=("{code}/run",), cwd="/"),
    "found in PATH": Row(BASH, how=("env", "run"), cwd="/", path="{code}:{bin}:/usr/bin:/bin"),
    "found in PATH by bash": Row(BASH, how=("bash", "run"), cwd="{code}/..", path="{code}:{bin}:/usr/bin:/bin"),
    "of a caller with -e": Row(BASH, how=("bash", "-ue", "call.sh"), files={"call.sh": CALL}),
    "executed by a shell": Row("#!/bin/bash -eu", SHOW + FAIL, how=("bash", "-c", 'exec ./run "$@"', "x")),
    "by env -i": Row(BASH, how=("env", "-i", "HOME={code}/../home", "PATH={bin}:/usr/bin:/bin", "./run")),
    "without PATH": Row("#!/bin/bash", "echo hi\n", how=("env", "-i", "HOME={code}/../home", "./run"), is_wrapped=False, told=b"capsule: "),
    "relative folder in PATH": Row(BASH, path="../../bin:/usr/bin:/bin"),
    "by an open file": Row(BASH, how=("bash", "-c", 'bash /dev/fd/3 "$@" 3< run', "x")),
    "interpreter by a relative path": Row(BASH, how=("bin dir/it's-bash", "run"), files={"bin dir/it's-bash": '#!/bin/sh\nexec bash "$@"\n'}),
    "under another name": Row(BASH, how=("bash", "-c", 'exec -a nonsense bash ./run "$@"', "x")),
    "under the name of another": Row(BASH, how=("bash", "-c", 'exec -a dash bash ./run "$@"', "x")),
    "as a login shell's argv[0]": Row(BASH, how=("bash", "-c", 'exec -l bash ./run "$@"', "x"), profile=PROFILE + "PATH={bin}:$PATH\n"),
    "in the background of a nohup": Row(BASH, how=("nohup", "./run")),
    "in a session of its own": Row(BASH, how=("setsid", "--wait", "./run"), needs=("setsid",)),
    # What its first line says.
    "#!/bin/bash -e": Row("#!/bin/bash -e", SHOW + FAIL),
    "#!/bin/bash -u": Row("#!/bin/bash -u", SHOW + 'echo "$nosuch"; echo still\n'),
    "#!/bin/bash -": Row("#!/bin/bash -", SHOW + FAIL),
    "#!/bin/bash -x": Row("#!/bin/bash -x"),
    "#!/bin/bash -l": Row("#!/bin/bash -l", profile=PROFILE + "PATH={bin}:$PATH\n"),
    "#!/bin/bash --login": Row("#!/bin/bash --login", profile=PROFILE + "PATH={bin}:$PATH\n"),
    "-l, whose profile sets PATH anew": Row("#!/bin/bash -l", profile="PATH={bin}:/usr/bin:/bin\n"),
    "-l, whose profile unsets the marker": Row("#!/bin/bash -l", profile="PATH={bin}:/usr/bin:/bin\nunset CAPSULE_WRAPPER_PID\n"),
    "#!/bin/bash -i": Row("#!/bin/bash -i", profile=PROFILE),
    "#!/bin/bash -p": Row("#!/bin/bash -p"),
    "#!/bin/bash --posix": Row("#!/bin/bash --posix"),
    "#!/bin/sh -eu": Row("#!/bin/sh -eu", SHOW + 'echo "$nosuch"; echo still\n'),
    "env -S with a variable": Row("#!/usr/bin/env -S LC_ALL=C bash -e", SHOW + FAIL),
    "restricted": Row("#!/bin/bash -r", "echo hi\ncd / || echo refused\n", is_wrapped=False, told=b"a restricted shell forbids exec; going on"),
    "restricted, -e": Row("#!/bin/bash -er", "echo hi\n", is_wrapped=False, told=b"a restricted shell forbids exec; going on"),
    "restricted by its name": Row("#!/bin/rbash -e", "echo hi\n", is_wrapped=False, told=b"a restricted shell forbids exec; going on"),
    "no #! line, below bash -c": Row("", how=("bash", "-c", './run "$@"', "x")),
    "no #! line, below bash -c of its name": Row("", how=("bash", "-c", '"$0" "$@"', "./run")),
    "no #! line, below sh": Row("", how=("sh", "-c", './run "$@"', "x")),
    "no #! line, exec": Row("", how=("bash", "-c", 'exec ./run "$@"', "x")),
    "a byte order mark": Row("\ufeff#!/usr/bin/env bash", how=("bash", "-c", './run "$@"', "x")),
    "Windows line ends": Row(BASH, 'true\nprintf "<%s>" "$@"\n', how=("bash", "run"), arguments=("a", "b"), has_windows_ends=True),
    # Other shells.
    "busybox sh": Row("#!/bin/busybox sh", needs=("busybox",)),
    "busybox sh -e run": Row("#!/bin/sh", SHOW + FAIL, how=("busybox", "sh", "-e", "run"), needs=("busybox",)),
    "busybox under the name of its shell": Row(BASH, how=("bash", "-c", 'exec -a ash busybox ./run "$@"', "x"), needs=("busybox",)),
    "zsh": Row("#!/usr/bin/zsh", needs=("zsh",)),
    "zsh -e": Row("#!/usr/bin/env -S zsh -e", SHOW + FAIL, needs=("zsh",)),
    "zsh -opipefail run": Row(BASH, SHOW + PIPE, how=("zsh", "-eopipefail", "run"), needs=("zsh",)),
    "zsh, sourced": Row(BASH, "echo in $1\n", how=("zsh", "outer.sh"), files={"outer.sh": '. ./run "$@"\necho after\n'}, is_wrapped=False, told=b"(sourced?)", needs=("zsh",)),
    "zsh, sourced, no #! line": Row("", "echo in $1\n", how=("zsh", "outer.sh"), files={"outer.sh": '. ./run "$@"\necho after\n'}, is_wrapped=False, told=b"(sourced?)", needs=("zsh",)),
    "zsh under the name sh": Row(BASH, how=("bash", "-c", 'ln -s "$(command -v zsh)" sh; exec ./sh run "$@"', "x"), needs=("zsh",)),
    "mksh": Row("#!/usr/bin/mksh", needs=("mksh",)),
    "mksh -opipefail run": Row(BASH, SHOW + PIPE, how=("mksh", "-eopipefail", "run"), needs=("mksh",)),
    # What it does.
    "exit 7": Row(BASH, "exit 7\n"),
    "it kills itself": Row(BASH, "kill -9 $$\n", how=("bash", "-c", './run "$@"; echo $?', "x")),
    "it starts a program of another language": Row(
        "#!/bin/sh", 'exec python3 main.py "$@"\n', path=f"{{bin}}:{PYTHON}:/usr/bin:/bin",
        files={"main.py": "import os, sys\nprint(ascii(sys.argv), os.getcwd(), input())\nsys.exit(4)\n"},
    ),
    "its line numbers": Row(BASH, "echo $LINENO\nnosuchcommand\n"),
    "traps, functions, redirections": Row(BASH, 'trap "echo bye" EXIT\nf(){ return 3; }\nexec > >(cat)\nf || echo $?\n'),
    "no newline at its end": Row(BASH, "# a comment\necho end"),
    "it calls a guarded one": Row(BASH, './inner "x y"; echo $?\n', files={"inner": '#!/bin/sh\n{guard}\necho inner "$@" $0\nexit 6\n'}),
    "it calls six guarded ones": Row(
        BASH, "./inner; bash inner; sh -c ./inner; (exec ./inner); echo | xargs ./inner; ./inner & wait\n",
        files={"inner": "#!/bin/sh\n{guard}\necho inner $0 $#\n"},
    ),
    "it sources a guarded one": Row("#!/bin/bash -e", "n=$1; . ./lib q; echo back $n\n", files={"lib": "#!/bin/sh\n{guard}\necho lib $0 $1\n"}),
    "wrapped by hand": Row(BASH, how=("capsule", "run", "--", "./run")),
    "many arguments": Row(BASH, "echo $# ${#1}\n", arguments=("z" * 100_000,) * 8),
    "many arguments, and room without limit": Row(
        BASH, "echo $# ${#1}\n", how=("bash", "-c", 'ulimit -s unlimited; exec ./run "$@"', "x"), arguments=("z" * 100_000,) * 2,
    ),
    "no room for more arguments": Row(
        BASH, "echo $# ${#1}\n", how=("bash", "-c", 'ulimit -s 1024; exec ./run "$@"', "x"),
        arguments=("z" * 120_000, "z" * 110_000), is_wrapped=False, told=b"leave no room for more",
    ),
    # What is no script of its own.
    "sourced": Row("#!/bin/bash", how=("bash", "-c", 'echo once; . ./run "$@"', "x"), is_wrapped=False, told=b"aind-capsule: 'x' is not the script's own file"),
    "sourced by a script": Row("#!/bin/bash", "echo lib $0 $1\n", how=("bash", "outer.sh"), files={"outer.sh": 'echo before\n. ./run "$@"\necho after\n'}, is_wrapped=False, told=b"'outer.sh' is not the script's own file"),
    "sourced by sh under its own name": Row("#!/bin/sh", "echo $1\n", how=("sh", "-c", ". ./run; echo after", "./run"), is_wrapped=False, told=b"(sourced?)"),
    "on stdin": Row("#!/bin/bash", "echo hi $1\n", how=("bash", "-c", "bash -s q < run"), is_wrapped=False, told=b"going on without it"),
    "on stdin, under its own name": Row("#!/bin/bash", "echo hi\n", how=("bash", "-c", "exec -a ./run bash < run"), arguments=(), is_wrapped=False, told=b"(sourced?)"),
    "on a pipe": Row("#!/bin/bash", "echo hi $1\n", how=("bash", "-c", "bash <(cat run) q"), is_wrapped=False, told=b"going on without it"),
    # Markers.
    "a marker of nobody": Row(BASH, env={"CAPSULE_WRAPPER_PID": "999999999"}),
    "a marker of process 1": Row(BASH, env={"CAPSULE_WRAPPER_PID": "1"}),
    "a marker that is no number": Row(BASH, env={"CAPSULE_WRAPPER_PID": "$(echo x)"}),
}  # fmt: skip


@pytest.mark.parametrize("name", DECISIVE)
def test_the_guard_line_changes_nothing(tmp_path: Path, name: str) -> None:
    """Status and output are those of the script without it, and it is one run."""
    check_row(DECISIVE[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_no_start_of_a_script_is_changed(tmp_path: Path, name: str) -> None:
    """Status and output are those of the script without it, however it is started."""
    check_row(ROWS[name], tmp_path)
