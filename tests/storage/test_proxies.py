"""Proxies between us and S3: the same rule as for any other server, also for boto3's own requests."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.errors import RefusedError
from aind_capsule.storage.objects import Bucket
from tests.http.servers import RawServer, answer, build_answer
from tests.storage.servers import Server

S3_HOST = "s3.example.org"  # never looked up: it is reached by a proxy
STORED = build_answer(b"", ETag='"d41d8cd98f00b204e9800998ecf8427e"')
STS_ANSWER = build_answer(
    b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>
<SessionToken>role-token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>""",
    Content_Type="text/xml",
)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """A proxy that answers in the place of the servers, and an environment that names none yet."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key-secret")
    server = RawServer(answer(STORED))
    yield server
    server.stop()


def _put(endpoint: str) -> None:
    settings = S3Settings(endpoint_url=endpoint, region_name="us-east-1")
    Bucket("data", settings).put("x/y", b"some bytes")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "http://{}"),
        ("http_proxy", "{}"),
        ("ALL_PROXY", "{}/"),
        ("all_proxy", "http://m%40e:s3%2Fcr3t@{}"),
        ("HTTP_PROXY", "m%40e:s3%2Fcr3t@{}"),
    ],
)
def test_s3_by_a_proxy(
    proxy: RawServer, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Each variable, with a scheme or without, leads there; user and password arrive decoded."""
    monkeypatch.setenv(variable, value.format(proxy.address))
    _put(f"http://{S3_HOST}:9000")
    asked = proxy.seen[-1]
    assert asked.line == f"PUT http://{S3_HOST}:9000/data/x/y HTTP/1.1"
    assert asked.body == b"some bytes"
    coded = base64.b64encode(b"m@e:s3/cr3t").decode()
    expected = f"Basic {coded}" if "@" in value else None
    assert asked.headers.get("proxy-authorization") == expected


@pytest.mark.parametrize("exceptions", ["127.0.0.0/8", "", "elsewhere, 10.0.0.0/8"])
def test_this_machine_needs_no_proxy(
    s3: Server, proxy: RawServer, monkeypatch: pytest.MonkeyPatch, exceptions: str
) -> None:
    """A server on this machine is reached directly, whatever the variables say."""
    monkeypatch.setenv("ALL_PROXY", proxy.address)
    monkeypatch.setenv("NO_PROXY", exceptions)
    name = s3.make_bucket()
    bucket = Bucket(name, S3Settings(endpoint_url=s3.url))
    bucket.put("x", b"y")
    assert bucket.read_small("x")[0] == b"y"
    assert proxy.seen == []


def test_a_network_needs_no_proxy(proxy: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NO_PROXY` may hold a network: the bucket's server is in it, and is reached directly."""
    monkeypatch.setenv("HTTP_PROXY", "127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "0.0.0.0/32")
    _put(f"http://0.0.0.0:{proxy.port}")  # not a loopback address, and yet this machine
    assert proxy.seen[-1].line == "PUT /data/x/y HTTP/1.1"


def test_a_proxy_of_an_unknown_kind(proxy: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused with the variable's name, and without its password."""
    monkeypatch.setenv("ALL_PROXY", f"socks5://me:s3cr3t@{proxy.address}")
    with pytest.raises(RefusedError, match="ALL_PROXY") as caught:
        _put(f"http://{S3_HOST}:9000")
    assert "s3cr3t" not in caught.value.message + caught.value.hint
    assert proxy.seen == []


def test_credentials_by_the_same_proxy(
    proxy: RawServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A role is assumed by the proxy that `ALL_PROXY` names, which boto3 alone does not look at."""

    def serve(server: RawServer, connection: Any) -> None:
        while (seen := server.read(connection)) is not None:
            connection.sendall(STS_ANSWER if "sts." in seen.line else STORED)

    server = RawServer(serve)
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        config = tmp_path / "config"
        config.write_text(
            "[profile a]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = b\n"
            "region = us-west-2\n[profile b]\naws_access_key_id = AKIAB\n"
            "aws_secret_access_key = b-secret\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_PROFILE", "a")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://sts.example.org")
        monkeypatch.setenv("ALL_PROXY", f"me:s3cr3t@{server.address}")
        _put(f"http://{S3_HOST}:9000")
        first, last = server.seen[0], server.seen[-1]
    assert first.line.startswith("POST http://sts.example.org/ ")
    assert first.headers["proxy-authorization"].startswith("Basic ")
    assert "ASIAROLE" in last.headers["authorization"]
    assert last.headers["x-amz-security-token"] == "role-token"
