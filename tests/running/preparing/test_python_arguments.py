"""A run's parameters are its program's, whatever runs the program in this Python process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from aind_capsule.running.preparing.python_arguments import find_own_arguments
from tests.conftest import ROOT

KERNEL = ["python", "-m", "ipykernel_launcher", "-f", "/run/kernel-1.json", "--HistoryManager.hist_file=:memory:"]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "argv", "main_file", "expected"),
    [
        (KERNEL, ["/site/ipykernel_launcher.py", *KERNEL[3:]], None, []),
        (["python", "-m", "ipykernel_launcher", "--f=/k.json"], ["/s/ipykernel_launcher.py", "--f=/k.json"], None, []),
        (["python3", "-m", "colab_kernel_launcher", "-f", "k"], ["/s/colab_kernel_launcher.py", "-f", "k"], None, []),
        (["python", "-m", "spyder_kernels.console", "-f", "k"], ["/s/spyder_kernels/console/__main__.py", "-f", "k"], None, []),
        (KERNEL, ["show.py", "--rate", "3"], "show.py", ["--rate", "3"]),
        (["python", "/bin/ipython", "-c", "code"], ["/bin/ipython", "-c", "code"], None, []),
        (["python", "/bin/ipython", "--", "a", "--b"], ["/bin/ipython", "--", "a", "--b"], None, ["a", "--b"]),
        (["python", "/bin/ipython", "x.py", "--", "--rate", "3"], ["/code/x.py", "--rate", "3"], "x.py", ["--rate", "3"]),
        (["python", "embeds.py", "--rate", "3"], ["embeds.py", "--rate", "3"], "embeds.py", ["--rate", "3"]),
    ],
)  # fmt: skip
def test_notebooks(
    monkeypatch: pytest.MonkeyPatch, command: list[str], argv: list[str], main_file: str | None,
    expected: list[str],
) -> None:  # fmt: skip
    """A notebook has no parameters; a script that it runs, and words behind `--`, have their own."""

    class Shell:
        get_ipython = staticmethod(object)

    monkeypatch.setitem(sys.modules, "IPython", Shell)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", main_file, raising=False)
    assert list(find_own_arguments(command)) == expected


SHOW = """
    import sys
    from aind_capsule.running.preparing.python_arguments import find_own_arguments
    def show(): print(list(find_own_arguments(sys.orig_argv)), flush=True)
"""
WORK = """
    import multiprocessing, sys
    from show import show
    if __name__ == "__main__":
        show()
        for method in ("fork", "spawn"):
            process = multiprocessing.get_context(method).Process(target=show)
            process.start(); process.join()
        sys.argv[1:] = []
        show()
"""


def test_real_processes(tmp_path: Path) -> None:
    """Scripts, modules, code, launchers and workers: each has the words behind the program."""
    (tmp_path / "show.py").write_text(textwrap.dedent(SHOW))
    (tmp_path / "work.py").write_text(textwrap.dedent(WORK))
    package = tmp_path / "pkg" / "sub"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text("from show import show\nshow()\n")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "code")])}
    given = ["--rate", "3"]
    code = "from show import show; show()"
    spawned = "import multiprocessing as m, show; p = m.get_context('spawn').Process(target=show.show); p.start(); p.join()"  # fmt: skip
    commands = {
        ("work.py",): 4,
        ("-m", "work"): 4,
        ("-m", "pkg.sub"): 1,
        ("pkg/sub",): 1,
        ("-c", code): 1,
        ("-c", spawned): 1,
        ("-m", "cProfile", "-o", os.devnull, "work.py"): 4,
    }
    for command, count in commands.items():
        done = subprocess.run(
            [sys.executable, *command, *given], cwd=tmp_path, env=environ, text=True, check=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert done.stdout == "['--rate', '3']\n" * count, command
    done = subprocess.run(
        [sys.executable, "-", *given], cwd=tmp_path, env=environ, text=True, check=True,
        stdout=subprocess.PIPE, input=code,
    )  # fmt: skip
    assert done.stdout == "['--rate', '3']\n"
