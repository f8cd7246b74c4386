"""Credentials that are found, kept, renewed, and that nobody gives in time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.credentials import ReadOnlyCredentials

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage import credentials
from aind_capsule.storage.credentials import CredentialSource
from aind_capsule.storage.errors import RefusedError
from aind_capsule.storage.objects import Bucket
from tests.storage.scripted import ScriptedServer, error

OLD, NEW = (ReadOnlyCredentials(name, "s", None) for name in ("OLD", "NEW"))


def _found(call: Callable[[], ReadOnlyCredentials]) -> SimpleNamespace:
    return SimpleNamespace(get_frozen_credentials=call)


def test_a_process_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`credential_process` has a deadline, and the error says what to look at."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    program = tmp_path / "slow.py"
    program.write_text("import time; time.sleep(3)")
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setattr(credentials, "DEADLINE_S", 0.3)
    with pytest.raises(RefusedError, match=r"not found within 0\.3 s") as caught:
        Bucket("bucket", S3Settings(endpoint_url="http://127.0.0.1:1", region_name="us-east-1"))
    assert "credential_process" in caught.value.hint
    program.write_text("print('{')")
    with pytest.raises(RefusedError, match="cannot be found") as caught:
        Bucket("bucket", S3Settings(endpoint_url="http://127.0.0.1:1", region_name="us-east-1"))
    assert "credential_process" in caught.value.hint


def test_those_that_renew_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 is asked again from time to time; what hangs or fails there leaves those of before."""
    monkeypatch.setattr(credentials, "_LOOK_EVERY_S", 0.0)
    now: list[object] = [OLD]
    never = threading.Event()

    def get() -> ReadOnlyCredentials:
        if now[0] is never:
            never.wait(10)
        if isinstance(now[0], Exception):
            raise now[0]
        return now[0]  # type: ignore[return-value]

    source = CredentialSource(lambda: _found(get), 0.2)
    assert source.get() == OLD
    now[0] = NEW
    assert source.get() == NEW
    now[0] = OSError("the metadata server is away")
    assert source.get() == NEW
    now[0] = never
    assert source.get() == NEW
    never.set()


def test_those_that_were_refused() -> None:
    """They are looked for anew once, by one of the threads; whether there are others is known."""
    now, searches = [OLD], []

    def find() -> SimpleNamespace:
        searches.append(1)
        return _found(lambda: now[0])

    source = CredentialSource(find, 5.0)
    assert not source.renew(OLD)
    assert not source.renew(OLD)  # that was just now
    assert len(searches) == 2
    now[0] = NEW
    other = CredentialSource(find, 5.0)
    assert other.renew(OLD)  # another thread has others already
    assert len(searches) == 3


def test_a_renewal_that_hangs_keeps_each_thread_as_long() -> None:
    """All threads together wait for one deadline, and each has the error."""
    hangs = threading.Event()
    searches: list[int] = []

    def find() -> SimpleNamespace:
        searches.append(1)
        if len(searches) > 1:
            hangs.wait(10)
        return _found(lambda: OLD)

    source = CredentialSource(find, 0.3)
    errors: list[str] = []

    def renew() -> None:
        try:
            source.renew(OLD)
        except RefusedError as error:
            errors.append(error.message)

    threads = [threading.Thread(target=renew) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    hangs.set()
    assert errors == ["AWS credentials were not found within 0.3 s"] * 8
    assert len(searches) == 2


def test_there_are_none() -> None:
    """It is said, with what to set."""
    with pytest.raises(RefusedError, match="no AWS credentials") as caught:
        CredentialSource(lambda: None)
    assert "AWS_PROFILE" in caught.value.hint


def test_a_renewal_that_hangs_in_mid_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: ScriptedServer
) -> None:
    """The request ends with what the server said, what was not found, and what to look at."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    program, config = tmp_path / "keys.py", tmp_path / "config"
    program.write_text("""print('{"Version": 1, "AccessKeyId": "OLD", "SecretAccessKey": "s"}')""")
    config.write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    bucket = Bucket("bucket", S3Settings(endpoint_url=scripted.url, region_name="us-east-1"))
    monkeypatch.setattr(bucket._requests._connection.credentials, "_deadline_s", 0.3)
    program.write_text("import time; time.sleep(3)")
    scripted.always = lambda seen: error(400, "ExpiredToken")
    for run in (lambda: list(bucket.list("x/")), lambda: bucket.put("x", b"1")):
        with pytest.raises(
            RefusedError, match=r"ExpiredToken, and other AWS credentials were not found"
        ) as caught:
            run()
        assert (caught.value.code, caught.value.status) == ("ExpiredToken", 400)
        assert "credential_process" in caught.value.hint
