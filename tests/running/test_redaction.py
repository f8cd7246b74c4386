"""No secret comes into any file of a run, whoever wrote it; what the processing prints passes as it is."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Capsule, parse_strictly
from tests.shipping.loki_double import LokiDouble

PY = sys.executable
TOKEN = "git-tok/9+A=zz"
KEY = """\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIOmQ8gQF5ZOWVh3zRlpHFZ1B2VPyrtKqaTb5pVq6
AwEHoUQDQgAE
-----END EC PRIVATE KEY-----"""


def find_files_with(root: Path, secret: str) -> list[Path]:
    """The files below a folder in which a text stands."""
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if secret.encode() in path.read_bytes()]


@pytest.fixture
def secretive(capsule: Capsule) -> Capsule:
    """A capsule whose environment holds a secret."""
    capsule.environ["GIT_ACCESS_TOKEN"] = TOKEN
    return capsule


def test_captured_lines(secretive: Capsule) -> None:
    """What the processing prints passes verbatim; in log, run.json and session file the secret is hidden."""
    script = f"""
import base64, sys, urllib.parse
t = {TOKEN!r}
print("clone https://x:" + t + "@github.com/a/b"); print("plain " + t + " end")
print(base64.b64encode(b"ab" + t.encode()).decode(), urllib.parse.quote(t, safe=""))
print("password=hunter2hunter2", file=sys.stderr)
print("[ERROR] " + t, file=sys.stderr)
"""
    path = secretive.write("print_secrets.py", script)
    done = secretive.run(PY, str(path), options=("--session",))
    encoded = base64.b64encode(b"ab" + TOKEN.encode()).decode()[3:-4]
    for secret in (TOKEN, encoded, "hunter2hunter2", "git-tok%2F9%2BA%3Dzz"):
        assert find_files_with(secretive.results, secret) == []
        assert find_files_with(secretive.scratch, secret) == []
    assert f"plain {TOKEN} end".encode() in done.stdout
    assert b"hunter2hunter2" in done.stderr
    assert "plain [redacted] end" in done.messages
    assert [r["level"] for r in done.records if r["message"] == "[ERROR] [redacted]"] == ["ERROR"]
    assert done.canonical["status"] == "success"


def test_what_goes_over_lines(secretive: Capsule) -> None:
    """A private key over several lines, and a secret where a long line is cut, are hidden."""
    script = f"""
print({KEY!r}); print("after")
print("x" * (256 * 1024 - 700) + " " + ("y" * 20 + {TOKEN!r}) * 40 + "z" * 300000)
"""
    path = secretive.write("print_key.py", script)
    done = secretive.run(PY, str(path))
    for secret in (TOKEN, "MHcCAQEEIOmQ8gQF5ZOWVh3z", "AwEHoUQDQgAE"):
        assert find_files_with(secretive.root / "results", secret) == []
    assert done.messages[:5] == ["[redacted]"] * 4 + ["after"]
    long_line = "".join(done.messages[5:])
    assert long_line.count("[redacted]") == 40
    assert long_line.replace("[redacted]", "").count("z") == 300000
    assert done.canonical["status"] == "success"


def test_every_other_origin(secretive: Capsule) -> None:
    """Log calls, fields, exceptions, records of other languages with any escapes, arguments: all are hidden."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in TOKEN)
    script = f"""
import logging, sys
from loguru import logger
from aind_capsule import configure_logging
t = {TOKEN!r}
configure_logging("p", lab_note="with " + t)
logger.bind(deep={{"a": [{{"api_key": "quokka-1"}}]}}).info("uses {{}}", t)
logging.getLogger("x").warning("std %s", t, extra={{"token": "quokka-2"}})
print('\\x1e{{"message": "{escaped}", "pass\\\\u0077ord": "quokka-3"}}', file=sys.stderr)
print('\\x1e{{"message": "torn password=quokka-4', file=sys.stderr)
try:
    raise ValueError("with " + t)
except ValueError:
    logger.exception("failed")
raise RuntimeError("at last " + t)
"""
    path = secretive.write("log_secrets.py", script)
    command = [
        PY,
        str(path),
        "--password",
        "quokka-5",
        "--api-key=quokka-6",
        TOKEN,
        "secret=quokka-7",
    ]
    done = secretive.run(
        *command,
        options=("--session", "--field", f"site={TOKEN}", "--field", "db_password=quokka-8"),
    )
    for secret in (TOKEN, "quokka-"):
        assert find_files_with(secretive.results, secret) == []
        assert find_files_with(secretive.scratch, secret) == []
    told = done.canonical
    assert told["error_message"] == "at last [redacted]"
    assert told["parameters"]["password"] == "[redacted]"
    assert told["site"] == "[redacted]"
    (run_json,) = secretive.results.glob("*.run.json")
    run = json.loads(run_json.read_text())
    assert run["command"][2:] == [
        "--password",
        "[redacted]",
        "--api-key=[redacted]",
        "[redacted]",
        "secret=[redacted]",
    ]
    assert "at last" in run["error_message"]


def test_secrets_that_only_the_processing_knows(capsule: Capsule) -> None:
    """A secret of the processing's own environment is hidden in captured lines too, once our set-up runs there."""
    script = """
import os
os.environ["LAB_PASSWORD"] = "numbat-in-the-lab"
from aind_capsule import configure_logging
configure_logging()
print("says numbat-in-the-lab", flush=True)
"""
    done = capsule.run(PY, str(capsule.write("own.py", script)), options=("--session",))
    assert b"numbat-in-the-lab" in done.stdout
    assert find_files_with(capsule.results, "numbat-in-the-lab") == []


def test_redact_output(secretive: Capsule) -> None:
    """With --redact-output what is passed on is redacted too, and all else passes as it is."""
    script = f"""
import sys
sys.stdout.buffer.write(b"caf\\xe9 plain\\r\\n10%\\r20%\\rpassword=wombat-1\\n" + {TOKEN!r}.encode())
print("Bearer wombat-token-2", file=sys.stderr)
"""
    done = secretive.run(
        PY, str(secretive.write("out.py", script)), options=("--redact-output", "--console", "off")
    )
    assert done.stdout == b"caf\xe9 plain\r\n10%\r20%\rpassword=[redacted]\n[redacted]"
    assert done.stderr == b"Bearer [redacted]\n"


def test_redact_output_needs_the_output(capsule: Capsule) -> None:
    """--redact-output with --tty is a usage error: that output does not come through the wrapper."""
    done = capsule.run("true", options=("--redact-output", "--tty"))
    assert done.status == 2
    assert b"--redact-output" in done.stderr


def test_what_users_add(capsule: Capsule) -> None:
    """Names, expressions and variables of the settings are hidden; a wrong expression is an ERROR, and the run goes on."""
    capsule.environ["LAB_DOOR"] = "bilby-bilby"
    (capsule.code / "capsule.toml").write_text(
        '[redact]\nfields = ["rig_pin"]\npatterns = ["animal (?P<secret>[a-z]+)"]\nvalues_from_env = ["LAB_*"]\n'
    )
    done = capsule.run("echo", "rig_pin=1234 animal quoll door bilby-bilby", "--rig-pin", "98765")
    assert done.messages == [
        "rig_pin=[redacted] animal [redacted] door [redacted] --rig-pin [redacted]"
    ]
    (capsule.code / "capsule.toml").write_text('[redact]\npatterns = ["("]\n')
    done = capsule.run("echo", "hello")
    assert (done.status, done.messages) == (0, ["hello"])
    assert any("redact.patterns" in r["message"] for r in done.records if r["level"] == "ERROR")


def test_settings_are_shown_without_secrets(capsule: Capsule) -> None:
    """`capsule settings` shows no secret, as text or as JSON."""
    import subprocess

    env = {**capsule.environ, "GIT_ACCESS_TOKEN": TOKEN, "PIPELINE_URL": f"https://me:{TOKEN}@host/x",
           "CAPSULE_FIELDS": f"api_key=quokka-9,site={TOKEN}"}  # fmt: skip
    for more in ([], ["--json"]):
        done = subprocess.run([PY, "-m", "aind_capsule", "settings", *more], env=env, cwd=capsule.code,
                              capture_output=True, check=True)  # fmt: skip
        assert TOKEN.encode() not in done.stdout + done.stderr
        assert b"quokka-9" not in done.stdout
        assert b"[redacted]" in done.stdout


def test_logging_alone(secretive: Capsule) -> None:
    """Without a wrapper the log and what is printed for people hold no secret either."""
    import subprocess

    script = f"""
from loguru import logger
from aind_capsule import configure_logging
configure_logging("p", password="quokka-1", note={TOKEN!r})
logger.info("uses {TOKEN}")
logger.bind(subject_id="1").info("token=quokka-2")
class Bad:
    def __repr__(self): raise ValueError({TOKEN!r})
logger.bind(x=Bad()).info("bad")
raise RuntimeError({TOKEN!r})
"""
    done = subprocess.run([PY, str(secretive.write("alone.py", script))], env=secretive.environ, cwd=secretive.code,
                          capture_output=True, check=False)  # fmt: skip
    assert TOKEN.encode() not in done.stderr
    for secret in (TOKEN, "quokka-"):
        assert find_files_with(secretive.scratch, secret) == []
    (log,) = secretive.scratch.rglob("*.log.jsonl")
    records = [parse_strictly(line) for line in log.read_bytes().splitlines()]
    assert "uses [redacted]" in [record["message"] for record in records]


COLOUR_SCRIPT = r"""
import json, logging, os, sys
from aind_capsule import configure_logging
from loguru import logger
configure_logging()
v = os.environ["LAB_TOKEN"].replace("b", "b\x1b[0m")
logger.info(v); logger.bind(x=[v]).info("field"); logging.getLogger("a").warning(v)
print(v, flush=True); print("\x1e" + json.dumps({"message": v}), file=sys.stderr, flush=True)
print(json.dumps({"level": "INFO", "message": v}), flush=True)
try: raise ValueError(v)
except ValueError: logger.exception("f")
"""


def test_a_colour_within_a_value(capsule: Capsule) -> None:
    """A colour's code within a known value hides it from nobody: no record holds code or value."""
    script = capsule.write("colour.py", COLOUR_SCRIPT)
    done = capsule.run(
        PY, str(script), env={"LAB_TOKEN": "Wombat-in-the-lab"}, options=("--session",)
    )
    assert done.messages.count("[redacted]") == 2
    for part in (b"Womb", b"at-in-the-lab"):
        assert part not in b"".join(line for line in done.lines if b"File " not in line)
    assert b"u001b" not in b"".join(done.lines)


NAMES_SCRIPT = """
import os
from aind_capsule import capsule_run, configure_logging
from loguru import logger
secret = os.environ["LAB_TOKEN"]
with capsule_run() as run:
    configure_logging()
    run.log_metric("metric " + secret, 1)
    run.log_parameters(**{"parameter " + secret: [secret, secret.encode(), {secret: 1}]})
    run.set(**{"field " + secret: repr(secret.encode())}); run.note("note " + secret)
    run.log_artifact("../results/" + secret.encode().hex(), "artifact " + secret)
    with run.step("https://user:" + secret + "@host/x"), run.step(secret), run.step(repr(secret.encode())):
        logger.bind(bytes=secret.encode(), tags=[secret]).info("sends {}", secret.encode())
    print(secret.encode()); print(ascii(secret)); print(secret[:4] + "\\x1b[0m" + secret[4:], flush=True)
    raise RuntimeError(str(secret.encode()))
"""  # noqa: E501


def test_known_values_in_names(capsule: Capsule) -> None:
    """No file of a run, no file's name and nothing sent to a server holds a known value, whatever is named after it."""
    secret = "pässwörd-für-zwei"
    loki = LokiDouble()
    name = "x" * 118 + secret  # a process's name is cut where the value is
    labels = f"lab={secret},process_name"
    env = {"LAB_TOKEN": secret, "CAPSULE_LOKI__URL": loki.url, "CAPSULE_RUN_FILES": "all",
           "CAPSULE_SHIPPING__LABELS": labels}  # fmt: skip
    (capsule.data / f"asset {secret}").mkdir()
    script = capsule.write("names.py", NAMES_SCRIPT)
    for shown in (name, secret):
        options = (
            "--session",
            "--resources",
            "1",
            "--process-name",
            shown,
            "--field",
            f"{secret}=1",
        )
        done = capsule.run(PY, str(script), "--key", secret, env=env, options=options)
        assert done.canonical["status"] == "fail"
    loki.stop()
    sent = b"".join(gzip.decompress(request.body) for request in loki.requests)
    assert b'"lab":"[redacted]"' in sent
    paths = [*capsule.scratch.rglob("*"), *capsule.results.rglob("*")]
    shown = "\n".join(path.name for path in paths)
    assert shown.count("_redacted_-") >= 10
    texts = {path.name: path.read_bytes() for path in paths if path.is_file()}
    data = secret.encode()
    forms = (secret, secret[:8], repr(data)[2:10], ascii(secret)[1:9], data.hex())
    for place, content in {**texts, "names": shown.encode(), "Loki": sent}.items():
        for form in forms:
            encoded = json.dumps(form, ensure_ascii=False)[1:-1]
            assert encoded.encode() not in content.replace(data[:4] + b"\\u001b", b""), (
                place,
                form,
            )


@pytest.mark.slow
def test_a_slow_expression_is_said(capsule: Capsule) -> None:
    """Where our work on a line takes long, one WARNING says so, and the run goes on."""
    (capsule.code / "capsule.toml").write_text("[redact]\npatterns = ['(a+)+b']\n")
    done = capsule.run("sh", "-c", "printf 'a%.0s' $(seq 26); echo !")
    warnings = [r["message"] for r in done.records if r["level"] == "WARNING"]
    assert done.status == 0
    assert len([text for text in warnings if "bytes of stdout took" in text]) == 1
