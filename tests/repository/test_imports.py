"""What is imported when: a run's start pays for nothing that it does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import IS_PLAIN, ROOT, Capsule

HEAVY = ("loguru", "pydantic", "psutil", "boto3", "botocore", "docker", "numpy", "asyncio", "logging", "tempfile",
         "multiprocessing", "importlib.metadata", "typing_extensions", "ssl", "http.client",
         "aind_capsule.shipping.destination", "aind_capsule.shipping.loki")  # fmt: skip
if sys.version_info >= (3, 11):  # click imports uuid, which imports it on 3.10
    HEAVY += ("subprocess",)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9"])
def test_nothing_heavy_before_the_child_has_ended(capsule: Capsule, url: str) -> None:
    """At the child's start `capsule run` has imported none of the heavy libraries, nor at its end.

    A Loki in the settings changes the end alone: what delivers is started after the processing.
    No class of a value was compiled then: `@frozen` makes those (see its module).
    """
    if url:
        capsule.environ |= {"CAPSULE_LOKI__URL": url, "CAPSULE_SHIPPING__DEADLINE": "0"}
    script = (
        "import os, sys\n"
        "from aind_capsule.cli import main\n"
        "real = os.fork\n"
        "def is_compiled(value):\n"
        "    code = getattr(getattr(value, '__init__', None), '__code__', None)\n"
        "    return hasattr(value, '__dataclass_fields__') and code.co_filename == '<string>'\n"
        "def find_compiled():\n"
        "    modules = [m for name, m in sys.modules.items() if name.startswith('aind_capsule')]\n"
        "    return sorted({n for m in modules for n, value in vars(m).items() if is_compiled(value)})\n"
        "def fork():\n"
        "    print('at fork', sorted(sys.modules), file=sys.stderr)\n"
        "    print('compiled', find_compiled(), file=sys.stderr)\n"
        "    return real()\n"
        "os.fork = fork\n"
        "try: main(['run', '--console', 'off', '--', 'true'])\n"
        "finally: print('at end', sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=capsule.code, env=capsule.environ,
                          capture_output=True, text=True, check=True)  # fmt: skip
    told = [line for line in done.stderr.splitlines() if line.startswith("at ")]
    assert len(told) >= 3
    assert told[-1].startswith("at end")
    for line in told[:-1] if url else told:
        found = [name for name in HEAVY if f"'{name}'" in line]
        assert found == [], line[:8]
    assert done.stderr.splitlines()[1] == "compiled []"


def test_it_works_uninstalled_from_the_code_folder(capsule: Capsule) -> None:
    """From `code/`, with no compiled dependency importable: the run, and a log that the standard takes."""
    blocked = str(ROOT / "tests" / "plain")
    env = {**capsule.environ, "PYTHONPATH": f"{blocked}:{ROOT / 'code'}"}
    run = capsule.run("sh", "-c", "echo '[WARNING] x'", env=env)
    assert run.canonical["records"]["WARNING"] == 1
    checked = subprocess.run(
        [sys.executable, "-m", "aind_capsule", "check-logs", str(run.log)], env=env, check=False
    )
    assert checked.returncode == 0


@pytest.mark.skipif(not IS_PLAIN, reason="plain mode only")
def test_plain_mode_is_plain() -> None:
    """In plain mode the compiled dependencies really are not there."""
    from aind_capsule.records import encode, literals

    assert encode.orjson is None
    assert literals.BytesAhoCorasick is None


def test_other_systems_can_import_what_is_for_them() -> None:
    """Without Linux's own modules every command but `run` and `configure_logging` still import."""
    script = (
        "import sys\n"
        "import select\n"
        "for name in ('poll', 'POLLIN', 'POLLOUT', 'POLLERR', 'POLLHUP', 'POLLNVAL'): delattr(select, name)\n"
        "for name in ('fcntl', 'resource', 'pty', 'termios'): sys.modules[name] = None\n"
        "import aind_capsule.cli, aind_capsule.cli.run, aind_capsule.cli.runs, aind_capsule.cli.check_logs\n"
        "import aind_capsule.cli.settings, aind_capsule.logs.configure, aind_capsule.history.runs\n"
        "import aind_capsule.cli.assets, aind_capsule.cli.push, aind_capsule.cli.doctor, aind_capsule.compat, aind_capsule.running.decorator\n"
        "print('ok')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "ok\n", done.stderr
