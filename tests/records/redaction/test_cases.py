"""No covered secret is left in anything of a run, wherever a processing writes it."""

from __future__ import annotations

import random
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.redaction.stream import OutputRedactor
from tests.records.redaction.cases import (
    CASES_PER_RUN,
    Case,
    Leak,
    check_nothing_is_left,
    make_cases,
    run_cases,
)
from tests.records.redaction.secrets import make_known

KNOWN = [make_known(random.Random(f"known-{n}")) for n in range(5)]  # noqa: S311 (cases, not secrets)
REDACTOR = Redactor(SecretNames(), known=KNOWN)


@hypothesis.given(strategies.integers(min_value=0), strategies.integers(min_value=1, max_value=64))
def test_each_case_as_text_and_as_output(seed: int, size: int) -> None:
    """A case as one text, and as output that comes in pieces, loses its secret."""
    for case in make_cases(random.Random(seed), 10, KNOWN):  # noqa: S311
        output, data, done = OutputRedactor(REDACTOR), f"{case.name}: {case.text}\n".encode(), b""
        for start in range(0, len(data), size):
            done += output.feed(data[start : start + size])
        done += output.finish()
        for left in (done.decode(), REDACTOR.redact_text(case.text)):
            assert not any(secret in left for secret in case.secrets), case
        assert done.startswith(case.name.encode())


def test_some_cases_in_a_run(tmp_path: Path) -> None:
    """Some hundred cases in a real run: none is left in its files, their names, or what a server got."""
    assert run_cases("a few", 300, tmp_path) > 300


@pytest.mark.slow
def test_ten_thousand_cases_in_a_run(tmp_path: Path) -> None:
    """The same for ten thousand, in the places that a run has few of too."""
    assert run_cases("many", CASES_PER_RUN, tmp_path) > CASES_PER_RUN


def test_what_is_left_is_found() -> None:
    """The search sees a secret as it is, and with the escapes of JSON once and twice."""
    case = Case("c0", "known in plain", "stdout", "…", ('a"secret\\one', "other-secret"))
    for text in (
        'x a"secret\\one',
        '"a\\"secret\\\\one"',
        '\\"a\\\\\\"secret\\\\\\\\one',
        "other-secret",
    ):
        with pytest.raises(Leak, match="known in plain, stdout"):
            check_nothing_is_left([case], {"log": text.encode()})
    check_nothing_is_left([case], {"log": b"a secret one"})
