"""Cases of secrets in every place where a run takes text from, and the run that is to hide them.

`python -m tests.records.redaction.cases --cases 1000000` runs a million of them through the command,
10,000 a run, and looks for each secret in everything that the runs have left or sent.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Capsule, check_log_is_sound, parse_strictly
from tests.records.redaction.secrets import (
    SHAPES,
    encode_known,
    make_filler,
    make_known,
    make_lines,
)
from tests.shipping.loki_double import LokiDouble

try:
    from ahocorasick_rs import BytesAhoCorasick
except ImportError:  # the plain dependencies alone
    BytesAhoCorasick = None  # type: ignore[assignment,misc]

CASES_PER_RUN = 10_000
#: Shorter ones stand in some megabytes by chance.
_LEAST_CHARACTERS = 10
#: What holds the known values.
_VARIABLES = (
    "LAB_TOKEN", "GIT_ACCESS_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "API_KEY", "X_API_KEY",
    "CLIENT_SECRET", "SIGNING_PRIVATE_KEY", "SESSION_COOKIE", "GPG_PASSPHRASE", "AUTHORIZATION",
    "SERVICE_CREDENTIALS", "MYSQL_PWD", "LAB_DOOR", "CAPSULE_LOKI__PASSWORD", "SMTP_PASS", "GITHUB_PAT",
    "secretValue", "DEPLOY_KEYS", "SERVICE_URL",
)  # fmt: skip
#: A run is no data store: of these places a run has few.
_RARE = ("metric", "parameter", "field of the run", "note", "step", "artifact", "long line")
_RARELY = 0.01
_USUAL = (
    "stdout", "stderr", "pieces", "log line", "JSON line", "record", "escaped record", "loguru",
    "field", "logging", "exception", "traceback", "lines",
)  # fmt: skip
Transform = Callable[[str], str]
#: What may be around a text, with the same done to the secret in it.
_AROUND: dict[str, tuple[Transform, Transform]] = {
    "plain": (str, str),
    "prefix": (lambda text: f"2026-01-02 03:04:05,678 [main] {text}", str),
    "colour": (lambda text: f"\x1b[1;31m{text}\x1b[0m", str),
    "JSON": (lambda text: json.dumps({"id": 7, "v": text, "w": None}), lambda s: json.dumps(s)[1:-1]),
    "quotation": (lambda text: f"> {text}", str),
    "trace of a shell": (lambda text: f"+ echo {text}", str),
    "message": (lambda text: f'ts=2026-01-02T03:04:05Z level=info msg="got {text} back" n=3', str),
    "table": (lambda text: f"| 7 | {text} | ok |", str),
    "bytes": (lambda text: repr(text.encode()), lambda s: repr(s.encode())[2:-1]),
    "JSON in JSON": (lambda text: json.dumps({"body": json.dumps({"v": text})}),
                     lambda s: json.dumps(json.dumps(s)[1:-1])[1:-1]),
    "repr": (lambda text: repr(["it's", text]), lambda s: repr(s)[1:-1]),
    "URL": (lambda text: f"GET https://host/x?q={urllib.parse.quote(text, safe='')}&n=1",
            lambda s: urllib.parse.quote(s, safe="")),
}  # fmt: skip
#: What is printed by the child: each case in its place.
_CHILD = """
import json, logging, os, sys
from aind_capsule import capsule_run, configure_logging
from loguru import logger
def write(fd, text):
    data = text.encode()
    while data:
        data = data[os.write(fd, data):]
with capsule_run() as run:
    configure_logging()
    log = logging.getLogger("x")
    for line in open(sys.argv[1]):
        name, place, text = json.loads(line)
        line = f"{name}: {text}"
        if place == "stdout": write(1, line + "\\n")
        elif place == "stderr": write(2, line + "\\n")
        elif place == "pieces":
            data = (line + "\\n").encode()
            third = 1 + len(data) // 3
            for start in range(0, len(data), third): os.write(1, data[start : start + third])
        elif place == "lines": write(1, f"{name}: first\\n  {text}\\n  last\\n")
        elif place == "log line": write(2, f"2026-01-02 03:04:05 - WARNING - {line}\\n")
        elif place == "JSON line": write(1, json.dumps({"level": "INFO", "message": line}) + "\\n")
        elif place == "record": write(2, "\\x1e" + json.dumps({"level": "INFO", "message": line, "x": {"y": [text]}}) + "\\n")
        elif place == "escaped record":
            write(2, '\\x1e{"level": "INFO", "message": "' + name + ": " + "".join(f"\\\\u{n:04x}" for n in (
                int.from_bytes(pair, "big") for pair in zip(*[iter(text.encode("utf-16-be"))] * 2))) + '"}\\n')
        elif place == "loguru": logger.info("{}", line)
        elif place == "field": logger.bind(note=text, deep={"a": [text]}).info(name + ":")
        elif place == "logging": log.warning("%s", line, extra={"more": text})
        elif place == "exception":
            try: raise ValueError(line)
            except ValueError: logger.exception("failed")
        elif place == "traceback":
            write(2, 'Traceback (most recent call last):\\n  File "x.py", line 1, in <module>\\n    call()\\nValueError: ' + line + "\\n")
        elif place == "metric": run.log_metric(line, 1); logger.info(name + ":")
        elif place == "parameter": run.log_parameters({line: text}); logger.info(name + ":")
        elif place == "field of the run": run.set(**{name: text}); logger.info(name + ":")
        elif place == "note": run.note(line)
        elif place == "step":
            with run.step(line): pass
        elif place == "artifact": run.log_artifact("/tmp/" + name, text); logger.info(name + ":")
        elif place == "long line": write(1, name + ": " + "x" * int(sys.argv[2]) + " " + text + " " + "y" * 300000 + "\\n")
        else: raise SystemExit("no such place: " + place)
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class Case:
    """One secret in one place.

    Attributes:
        name: Stands before it, and is not hidden.
        kind: The secret's, and what is around it.
        place: Where the child writes it.
        text: What the child writes.
        secrets: What may be left nowhere.
    """

    name: str
    kind: str
    place: str
    text: str
    secrets: tuple[str, ...]


def make_cases(rng: random.Random, count: int, known: list[str]) -> Iterator[Case]:
    """Yield cases of all shapes and known values in all places."""
    for number in range(count):
        kind, text, secret = _make_text(rng, known)
        around = _choose_around(rng, kind, text, secret, known)
        place = rng.choice(_RARE if rng.random() < _RARELY else _USUAL)
        change, change_secret = _AROUND[around]
        filler = make_filler(rng) if around in ("plain", "prefix") else ""
        text = f"{filler} {change(text)}".strip()
        secrets = (secret, change_secret(secret))
        yield Case(f"c{number:07}", f"{kind} in {around}", place, text, secrets)


def _make_text(rng: random.Random, known: list[str]) -> tuple[str, str, str]:
    while True:
        if rng.random() < 0.5:
            make = rng.choice((*SHAPES, make_lines))
            kind, (text, secret) = make.__name__.removeprefix("make").strip("_"), make(rng)
        else:
            kind, (text, secret) = "known", encode_known(rng, rng.choice(known))
        if len(secret) >= _LEAST_CHARACTERS:
            return kind, text, secret


def _choose_around(
    rng: random.Random, kind: str, text: str, secret: str, known: Sequence[str]
) -> str:
    """Choose what is around a text: only what is no form within another that nobody looks for."""
    names = set(_AROUND)
    is_bare = text == secret and (kind != "known" or text in known)
    if not is_bare:  # a form within a form is not looked for
        names -= {"URL", "colour", "bytes", "JSON in JSON"}
    elif kind != "known" and urllib.parse.quote(text, safe="") != text:
        names -= {"URL"}
    if kind != "known" and set(secret) & set("\"'\\"):
        names -= {"repr"} if "'" not in secret else {"repr", "JSON"}
    if kind == "known" and text.startswith('{"v": "b'):  # bytes in JSON
        names -= {"JSON", "repr"}
    if "'" in text:  # the quotes around bytes depend on it
        names -= {"bytes"}
    if '"' in text:  # ends the message
        names -= {"message"}
    return "plain" if "\n" in text else rng.choice(sorted(names))


class Leak(AssertionError):
    """A secret was left somewhere."""


def run_cases(seed: str, count: int, folder: Path) -> int:
    """Run cases through the command, and look for what is left of them. Return the records.

    Raises:
        Leak: A secret was left, with its case and the place.
    """
    rng = random.Random(seed)  # noqa: S311 (cases, not secrets)
    known = [make_known(rng) for _ in _VARIABLES]
    cases = list(make_cases(rng, count, known))
    capsule = Capsule(folder / "capsule")
    given = folder / "cases.jsonl"
    given.write_text("".join(json.dumps([c.name, c.place, c.text]) + "\n" for c in cases))
    script = folder / "child.py"
    script.write_text(_CHILD)
    loki = LokiDouble()
    env = dict(zip(_VARIABLES, known, strict=True))
    env["SERVICE_URL"] = (
        f"postgresql://user:{urllib.parse.quote(env['SERVICE_URL'], safe='')}@host/x"
    )
    plain = next(value for value in known if value.isalnum())
    env |= {
        "PIPELINE_NAME": f"pipeline {known[1]}",
        "CAPSULE_REDACT__VALUES_FROM_ENV": "LAB_*",
        "CAPSULE_SHIPPING__LABELS": f"process_name,lab=at {plain}",
    }
    env |= {"CAPSULE_RUN_FILES": "all", "CAPSULE_LOKI__URL": loki.url}
    try:
        done = capsule.run(
            sys.executable, str(script), str(given), str(rng.randint(200_000, 262_000)), known[3],
            f"--note={known[4]}", "--db-password", known[5], env=env,
            options=("--session", "--console", "off", "--process-name", f"p {known[0]}",
                     "--field", f"note={known[2]}", "--field", f"n{plain}=1"),
            timeout_s=600,
        )  # fmt: skip
    finally:
        loki.stop()
    if done.status:
        raise AssertionError(f"the run failed: {done.stderr[-2000:]!r}")
    records = [parse_strictly(line) for line in done.lines]
    check_log_is_sound(records)
    paths = [path for top in (capsule.scratch, capsule.results) for path in top.rglob("*")]
    places = {path.name: path.read_bytes() for path in paths if path.is_file()}
    places["names of files"] = "\n".join(path.name for path in paths).encode()
    places["Loki"] = b"\n".join(_read_body(request.body) for request in loki.requests)
    for end in (".log.jsonl", ".run.json", ".log.txt", "_data_process.json"):
        assert any(name.endswith(end) for name in places), end
    assert places["Loki"].count(b"run_id") >= len(records)
    _check_all_arrived(cases, places)
    check_nothing_is_left(cases, places)
    return len(records)


def _read_body(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _check_all_arrived(cases: Sequence[Case], places: dict[str, bytes]) -> None:
    log = next(data for name, data in places.items() if name.endswith(".log.jsonl"))
    arrived = set(re.findall(rb"c\d{7}", log))
    missing = [case.name.encode() not in arrived for case in cases]
    before = max(0, missing.index(True) - 3) if True in missing else 0
    assert not any(missing), (sum(missing), cases[before : before + 6])


def check_nothing_is_left(cases: Iterable[Case], places: dict[str, bytes]) -> None:
    """Look for the secrets as they were, and as JSON has them once and twice."""
    wanted: dict[bytes, Case] = {}
    for case in cases:
        for secret in case.secrets:
            form = secret
            for _ in range(3):
                wanted.setdefault(form.encode(), case)
                form = json.dumps(form, ensure_ascii=False)[1:-1]
    find = _make_finder(list(wanted))
    leaks: dict[str, str] = {}
    for place, data in places.items():
        for found, start in find(data):
            case, end = wanted[found], start + len(found)
            around = data[max(0, start - 100) : end + 100]
            leaks.setdefault(f"{case.kind}, {case.place}", f"{case!r}\n  in {place}: {around!r}")
    if leaks:
        raise Leak("\n".join([f"{len(leaks)} kinds are left", *leaks, *list(leaks.values())[:16]]))


def _make_finder(forms: Sequence[bytes]) -> Callable[[bytes], Iterable[tuple[bytes, int]]]:
    """Find the forms in some data, and where: in one pass for all, or in a slower one for each."""
    if BytesAhoCorasick is None:
        return lambda data: [(form, data.index(form)) for form in forms if form in data]
    finder = BytesAhoCorasick(forms)
    return lambda data: [
        (forms[index], start) for index, start, _ in finder.find_matches_as_indexes(data)
    ]


def _run_one(seed: str, count: int) -> tuple[str, int, float]:
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="cases-"))
    records = run_cases(seed, count, folder)
    shutil.rmtree(folder)
    return seed, records, time.monotonic() - started


def main() -> None:
    """Run cases by the number, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    runs = max(1, given.cases // CASES_PER_RUN)
    count = min(given.cases, CASES_PER_RUN)
    started = time.monotonic()
    leaks = 0
    with ProcessPoolExecutor(given.jobs) as pool:
        pending = [pool.submit(_run_one, f"{given.seed}-{n}", count) for n in range(runs)]
        for number, future in enumerate(pending, 1):
            try:
                seed, records, took_s = future.result()
            except AssertionError as error:
                leaks += 1
                print(f"run {given.seed}-{number - 1}: {error}", flush=True)
            else:
                print(
                    f"{number}/{runs}: seed {seed}, {records} records, {took_s:.1f} s", flush=True
                )
    took_s = time.monotonic() - started
    print(f"{runs * count} cases in {runs} runs, {leaks} runs with leaks, {took_s:.0f} s")
    raise SystemExit(1 if leaks else 0)


if __name__ == "__main__":
    main()
