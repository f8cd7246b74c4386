"""How long a request may take."""

from __future__ import annotations

from typing import Any

import pytest

from aind_capsule.http.client import HttpClient
from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage import objects
from aind_capsule.storage.errors import SilentError
from aind_capsule.storage.objects import Bucket
from aind_capsule.storage.retry_policy import RetryPolicy
from tests.storage.scripted import BUCKET, Reply, ScriptedServer, Seen


def test_a_large_body_has_more_time(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part may take as long as it does on a slow link: 16 kB a second, and a minute."""
    given: list[float] = []
    request = HttpClient.request

    def note(client: HttpClient, *args: Any, **more: Any) -> Any:
        given.append(more["timeout_s"])
        return request(client, *args, **more)

    monkeypatch.setattr(HttpClient, "request", note)
    settings = S3Settings(endpoint_url=scripted.url, region_name="us-east-1")
    bucket = Bucket(BUCKET, settings)
    bucket.put("x", b"1" * 16_384)
    upload_id = bucket.begin("big", {})
    bucket.put_part("big", upload_id, 1, b"1" * (8 << 20))
    assert given == [61.0, 60.0, 572.0]


def test_a_server_that_is_silent_while_it_is_checked(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a run it is not waited for as long as while an upload is under way."""

    def refuse(seen: Seen) -> Reply:
        return Reply(503)

    scripted.always = refuse
    monkeypatch.setattr(objects, "_CHECK_FOR_S", 0.2)
    settings = S3Settings(endpoint_url=scripted.url, region_name="us-east-1", retry_for=3600.0)
    bucket = Bucket(BUCKET, settings, RetryPolicy(3600.0))
    with pytest.raises(SilentError):
        bucket.check("x/")
