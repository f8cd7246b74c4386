"""TLS to a Loki, and `capsule doctor`: the real thing, with a private authority."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Capsule
from tests.shipping.certificates import Certificates, make_certificates
from tests.shipping.logs import Log, deliver, make_settings
from tests.shipping.loki_double import LokiDouble, make_basic


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"), "127.0.0.1")


def test_tls_with_a_private_authority(tmp_path: Path, certificates: Certificates) -> None:
    """Verified by default: refused and said without the authority, delivered with it, or unverified."""
    double = LokiDouble(tls=certificates.make_server_context())
    try:
        log = Log(tmp_path)
        log.write("x")
        refused = deliver(log, make_settings(double.url), steps=1)
        assert "certificate" in refused.delivery.problem
        assert double.entries == []
        deliver(log, make_settings(double.url, CAPSULE_LOKI__CA_FILE=str(certificates.ca)))
        assert [entry.line for entry in double.entries] == log.lines
        log.write("y")
        deliver(log, make_settings(double.url, CAPSULE_LOKI__VERIFY="false"))
        assert [entry.line for entry in double.entries] == log.lines
    finally:
        double.stop()


def test_a_client_certificate(tmp_path: Path, certificates: Certificates) -> None:
    """A server that wants to know who comes gets the certificate of the settings."""
    double = LokiDouble(tls=certificates.make_server_context(wants_client=True))
    given = {"CAPSULE_LOKI__CA_FILE": str(certificates.ca)}
    try:
        log = Log(tmp_path)
        log.write("x")
        deliver(log, make_settings(double.url, **given), steps=1)
        assert double.entries == []
        own = {
            "CAPSULE_LOKI__CLIENT_CERT": str(certificates.client),
            "CAPSULE_LOKI__CLIENT_KEY": str(certificates.client_key),
        }
        deliver(log, make_settings(double.url, **given, **own))
        assert [entry.line for entry in double.entries] == log.lines
    finally:
        double.stop()


def _ask_doctor(capsule: Capsule, **more: str) -> tuple[int, list[dict]]:
    done = subprocess.run([sys.executable, "-m", "aind_capsule", "doctor", "--json"], cwd=capsule.code,
                          env={**capsule.environ, **more}, capture_output=True, text=True)  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_doctor_where_all_is_well(capsule: Capsule, loki: LokiDouble) -> None:
    """One probe record is pushed, in a stream of its own, and read back; the exit status is 0."""
    status, (check,) = _ask_doctor(capsule, CAPSULE_LOKI__URL=loki.url)
    assert (status, check["is_good"], check["address"]) == (0, True, loki.url)
    assert [dict(stream) for stream in loki.streams] == [{"service_name": "capsule-doctor"}]
    assert len(loki.entries) == 1


def test_doctor_with_nothing_configured(capsule: Capsule) -> None:
    """Nothing to check is no failure."""
    assert _ask_doctor(capsule) == (0, [])


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "token"), (404, "path"), (500, "loki.url"), (260, "loki.url")]
)
def test_doctor_says_what_is_wrong(
    capsule: Capsule, loki: LokiDouble, status: int, hint: str
) -> None:
    """A refusal: the server's words, what to do, and exit status 74."""
    loki.trouble.answer = lambda _request: (status, "the server's words")
    ended, (check,) = _ask_doctor(capsule, CAPSULE_LOKI__URL=loki.url)
    assert (ended, check["is_good"]) == (74, False)
    assert "the server's words" in check["message"]
    assert hint in check["hint"]


@pytest.mark.slow
def test_doctor_and_a_server_that_swallows(capsule: Capsule, loki: LokiDouble) -> None:
    """Taken and not shown: a server that says yes and stores nothing is found out."""
    loki.trouble.answer = lambda request: (204, "") if request.method == "POST" else None
    ended, (check,) = _ask_doctor(capsule, CAPSULE_LOKI__URL=loki.url)
    assert (ended, check["is_good"]) == (74, False)
    assert "did not show it" in check["message"]


def test_doctor_where_reading_is_not_allowed(capsule: Capsule, loki: LokiDouble) -> None:
    """Credentials that may only write are good, and the doctor says what follows from it."""
    loki.trouble.reads = False
    ended, (check,) = _ask_doctor(capsule, CAPSULE_LOKI__URL=loki.url)
    assert (ended, check["is_good"]) == (0, True)
    assert "may not be read back" in check["message"]


def test_doctor_with_nobody_there_and_wrong_settings(capsule: Capsule, loki: LokiDouble) -> None:
    """No server, a certificate file that is not there, a value that is none: each said, none a crash."""
    loki.stop()
    ended, (check,) = _ask_doctor(capsule, CAPSULE_LOKI__URL=loki.url)
    assert (ended, check["is_good"]) == (74, False)
    assert str(loki.port) in check["message"]
    given = {"CAPSULE_LOKI__URL": "https://127.0.0.1:1", "CAPSULE_LOKI__CA_FILE": "/nowhere/ca.pem"}
    ended, (check,) = _ask_doctor(capsule, **given)  # Loki is off: nothing else is tried
    assert (ended, check["name"]) == (74, "settings")
    assert "/nowhere/ca.pem" in check["message"]
    ended, (check,) = _ask_doctor(capsule, CAPSULE_LOKI__URL="gopher://x")
    assert (ended, check["name"]) == (74, "settings")


def test_doctor_hides_secrets(capsule: Capsule) -> None:
    """No secret is in what the doctor prints, also where the server throws it back."""
    double = LokiDouble(authorization=make_basic("u", "right"))
    double.trouble.answer = lambda request: (401, f"who is {request.headers['authorization']}?")
    try:
        for as_json in ([], ["--json"]):
            done = subprocess.run([sys.executable, "-m", "aind_capsule", "doctor", *as_json], cwd=capsule.code,
                                  env={**capsule.environ, "CAPSULE_LOKI__URL": double.url, "CAPSULE_LOKI__TOKEN": "s3cret-t0ken"},
                                  capture_output=True, text=True)  # fmt: skip
            assert done.returncode == 74
            assert "s3cret-t0ken" not in done.stdout + done.stderr
            assert "who is" in done.stdout
    finally:
        double.stop()
