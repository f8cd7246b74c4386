"""Signatures of requests to S3."""

from __future__ import annotations

import datetime
import hashlib
import random
import string
from typing import Any
from urllib.parse import unquote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from aind_capsule.storage.signing import UNSIGNED_PAYLOAD, Signer, build_query, quote_key

REGIONS = ("us-east-1", "us-west-2", "eu-central-1", "cn-north-1", "us-gov-west-1", "default")
HOSTS = ("s3.amazonaws.com", "bucket.s3.us-west-2.amazonaws.com", "localhost:9000", "[::1]:8333")
METHODS = ("PUT", "GET", "HEAD", "DELETE", "POST")
HEADERS = ("content-type", "if-none-match", "if-match", "range", "x-amz-tagging", "x-amz-acl",
           "x-amz-checksum-sha256", "x-amz-storage-class", "content-md5", "x-amz-meta-a", "x-amz-meta-a-b")  # fmt: skip
PARAMETERS = ("partNumber", "uploadId", "uploads", "list-type", "prefix", "continuation-token",
              "max-keys", "key-marker", "encoding-type", "A", "a", "a-b")  # fmt: skip
ODD = " /+%~*'()!$&,;:=@?#[]\"<>\\^`{|}_.-éß≠🐭\u00a0\x7f\x01"


def _make_text(choose: random.Random, alphabet: str, longest: int) -> str:
    return "".join(choose.choices(alphabet, k=choose.randint(0, longest)))


class _Known(botocore.auth.S3SigV4Auth):
    """botocore's signature, of a body that is known by its hash."""

    def payload(self, request: Any) -> str:
        return str(request.context["sha256"])


@pytest.mark.parametrize("seed", range(4))
def test_signatures_are_botocores(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """2,500 random requests of each seed have the signature that botocore gives them.

    Keys, queries, headers, tokens, regions, bodies that are signed or not; one signer for all of a
    host and region, so that the key that it keeps is of another day or secret each time.
    """
    choose = random.Random(seed)
    now = [0.0]
    monkeypatch.setattr(
        botocore.auth,
        "get_current_datetime",
        lambda: datetime.datetime.fromtimestamp(now[0], datetime.timezone.utc),
    )
    signers = {
        (host, region): Signer(host, region, lambda: now[0]) for host in HOSTS for region in REGIONS
    }
    secrets = [_make_text(choose, string.ascii_letters + "+/", 40) for _ in range(3)]
    for _ in range(2_500):
        now[0] = 1_700_000_000 + choose.randrange(4) * 43_200 + choose.randrange(2)
        host, region, method = choose.choice(HOSTS), choose.choice(REGIONS), choose.choice(METHODS)
        path = "/" + quote_key(_make_text(choose, string.ascii_letters + ODD, 60))
        names = choose.sample(PARAMETERS, choose.randint(0, 4))
        query = build_query({name: _make_text(choose, string.digits + ODD, 20) for name in names})
        headers = {
            name: _make_text(choose, string.ascii_letters + '  \t*"=;/', 30)
            for name in choose.sample(HEADERS, choose.randint(0, 4))
        }
        digest = hashlib.sha256(choose.randbytes(9)).hexdigest()
        digest = choose.choice((digest, UNSIGNED_PAYLOAD))
        token = choose.choice((None, "", _make_text(choose, string.ascii_letters + "/+=", 300)))
        keys = ReadOnlyCredentials("AKIA" + _make_text(choose, string.digits, 9), choose.choice(secrets), token)  # fmt: skip
        url = f"http://{host}{path}" + (f"?{query}" if query else "")
        theirs = AWSRequest(method, url, headers=dict(headers))
        theirs.context["sha256"] = digest
        _Known(keys, "s3", region).add_auth(theirs)
        ours = signers[host, region].sign(keys, method, path, query, headers, digest)
        assert ours == {name.lower(): value for name, value in theirs.headers.items()}, url


def test_what_is_encoded_is_encoded_once() -> None:
    """A path and a query come back as what they were made of, and hold what may stand there."""
    for text in ("a/b", ODD, "%41", "%2F", "a%20b", "+", "../x", "//"):
        assert unquote(quote_key(text)) == text
        assert set(quote_key(text)) <= set(string.ascii_letters + string.digits + "/-_.~%")
        assert build_query({"x": text}) == "x=" + quote_key(text).replace("/", "%2F")
    assert build_query({}) == ""
    assert build_query({"b": "1", "a": "2", "a-b": ""}) == "a=2&a-b=&b=1"


def test_the_clock_of_the_server() -> None:
    """What a server's clock differs by is added to this machine's."""
    signer = Signer("h", "r", lambda: 1_700_000_000)
    keys = ReadOnlyCredentials("A", "s", None)
    signer.clock_offset_s = 86_400
    signed = signer.sign(keys, "GET", "/", "", {}, UNSIGNED_PAYLOAD)
    assert signed["x-amz-date"] == "20231115T221320Z"
    assert "/20231115/r/s3/" in signed["authorization"]
