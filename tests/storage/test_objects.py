"""Objects on real servers, and what their failures are told as."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.checksums import find_checksum
from aind_capsule.storage.errors import (
    AbsentError,
    RefusedError,
    SilentError,
    StorageError,
    TakenError,
)
from aind_capsule.storage.objects import Bucket, Held
from aind_capsule.storage.retry_policy import RetryPolicy
from tests.storage.parts import put_in_parts
from tests.storage.proxy import CUT, CUT_ANSWER, CUT_BODY, RESET, FaultyProxy, Request, answer
from tests.storage.servers import Server

MIB = 1024 * 1024
of_moto = pytest.mark.skipif(
    "S3_ENDPOINT_URL" in os.environ, reason="not every server has these regions, classes and keys"
)
QUICK = {"retry_for_s": 0.5, "longest_pause_s": 0.05}


def _open(url: str, bucket: str, **settings: object) -> Bucket:
    return Bucket(bucket, S3Settings(endpoint_url=url, **settings), RetryPolicy(**QUICK))


def test_an_object_and_its_bytes(server: Server) -> None:
    """Written, listed, read, removed; names with spaces, `+`, `%` and unicode."""
    bucket = _open(server.url, server.make_bucket())
    for key in ("a/b c+d%2F e.txt", "a/ü≠🐭", "a/~(x)&=?#[1]'\"", "b"):
        bucket.put(key, key.encode())
        assert bucket.read_small(key)[0] == key.encode()
    held = list(bucket.list("a/"))
    assert [row.key for row in held] == sorted((row.key for row in held), key=str.encode)
    assert len(held) == 3
    bucket.remove("b")
    bucket.remove("b")
    with pytest.raises(AbsentError):
        bucket.read_small("b")


def test_an_object_in_parts(server: Server) -> None:
    """Parts become one object; an upload that is aborted leaves nothing."""
    bucket = _open(server.url, server.make_bucket())
    data = os.urandom(5 * MIB) + b"the end"
    upload_id = bucket.begin("x/big", {"content-type": "text/plain"})
    parts = [
        bucket.put_part("x/big", upload_id, 1, data[: 5 * MIB]),
        bucket.put_part("x/big", upload_id, 2, data[5 * MIB :]),
    ]
    assert list(bucket.list_uploads("x/")) == [("x/big", upload_id)]
    bucket.complete("x/big", upload_id, parts)
    assert [(row.key, row.size) for row in bucket.list("x/")] == [("x/big", len(data))]
    digest = hashlib.sha256()
    bucket.read("x/big", digest.update)
    assert digest.digest() == hashlib.sha256(data).digest()
    left = bucket.begin("x/left", {})
    bucket.abort("x/left", left)
    bucket.abort("x/left", left)
    assert list(bucket.list_uploads("x/")) == []


def test_the_name_of_a_content(server: Server) -> None:
    """An ETag comes from writing, looking and listing, the same each time, without quotes."""
    bucket = _open(server.url, server.make_bucket())
    etag = bucket.put("a/x", b"some bytes")
    assert etag
    assert '"' not in etag
    assert bucket.put("a/y", b"other bytes") != etag
    assert bucket.head("a/x") == Held("a/x", 10, etag)
    assert bucket.head("a/none") is None
    assert next(bucket.list("a/x")) == Held("a/x", 10, etag)


def test_only_that_object_is_replaced(server: Server) -> None:
    """With an ETag an object is replaced only where it still has it; what is gone stays gone."""
    bucket = _open(server.url, server.make_bucket())
    first = bucket.put("x", b"1")
    second = bucket.put("x", b"2", only_if_etag=first)
    with pytest.raises(TakenError) as told:
        bucket.put("x", b"3", only_if_etag=f'"{first}"')
    assert (told.value.code, told.value.status) == ("PreconditionFailed", 412)
    assert bucket.read_small("x")[0] == b"2"
    bucket.remove("x")
    with pytest.raises((AbsentError, TakenError)):
        bucket.put("x", b"4", only_if_etag=second)
    assert bucket.head("x") is None


def test_parts_that_the_server_holds(server: Server) -> None:
    """Parts are listed as they were written; an upload that is not there has a code that says so."""
    bucket = _open(server.url, server.make_bucket())
    upload_id = bucket.begin("big", {})
    assert list(bucket.list_parts("big", upload_id)) == []
    parts = [bucket.put_part("big", upload_id, n, b"x" * n) for n in (1, 2)]
    held = list(bucket.list_parts("big", upload_id))
    assert [(part.number, part.size, part.etag) for part in held] == [
        (part.number, part.number, part.etag) for part in parts
    ]
    assert all(part.checksum in (sent.checksum, "") for part, sent in zip(held, parts, strict=True))
    assert held[0].checksum or server.name != "localstack"  # which keeps them
    bucket.abort("big", upload_id)
    with pytest.raises(StorageError) as told:
        list(bucket.list_parts("big", upload_id))
    assert told.value.code == "NoSuchUpload"


def test_where_a_bucket_is(server: Server) -> None:
    """Its origin names server and bucket: another of either is another."""
    name = server.make_bucket()
    assert _open(server.url, name).origin == f"{server.url}/{name}"


@pytest.mark.parametrize("kind", ["sha256", "crc32", "crc32c"])
def test_checksums_that_the_server_keeps(server: Server, kind: str) -> None:
    """Each kind is sent with objects and parts, and is what the server then tells, if it does."""
    bucket = _open(server.url, server.make_bucket(), checksum=kind)
    bucket.put("small", b"some bytes")
    data, parts = put_in_parts(bucket, "big")
    assert bucket.read_small("big", len(data))[0] == data
    checksum = find_checksum(kind)
    assert checksum is not None
    client = server.make_client()
    head = client.head_object(Bucket=bucket.name, Key="small", ChecksumMode="ENABLED")
    small = checksum.encode(b"some bytes", hashlib.sha256(b"some bytes").digest())
    assert head.get(checksum.argument, small) == small
    assert checksum.argument in head or server.name != "localstack"  # which tells
    for part, piece in zip(parts, (data[: 5 * MIB], data[5 * MIB :]), strict=True):
        assert part.checksum == checksum.encode(piece, hashlib.sha256(piece).digest())
        assert part.is_of(piece, kind)
        assert not part.is_of(piece[:-1] + b"?", kind)
        is_unsigned = server.ca is not None and kind != "sha256"
        assert part.sha256 == (b"" if is_unsigned else hashlib.sha256(piece).digest())


def test_only_where_there_is_none(server: Server) -> None:
    """The second one that claims is told so, and the first one's stays."""
    bucket = _open(server.url, server.make_bucket())
    bucket.put("claim", b"mine", only_if_absent=True)
    with pytest.raises(TakenError):
        bucket.put("claim", b"yours", only_if_absent=True)
    assert bucket.read_small("claim")[0] == b"mine"


def test_a_check_writes_nothing(server: Server) -> None:
    """Whether one may write is found out without an object, and nothing is left over."""
    bucket = _open(server.url, server.make_bucket())
    bucket.check("assets/")
    assert list(bucket.list("")) == []
    assert list(bucket.list_uploads("")) == []


def test_no_such_bucket(server: Server) -> None:
    """It is named, with what to do."""
    with pytest.raises(RefusedError, match="NoSuchBucket") as told:
        _open(server.url, "no-such-bucket-anywhere").check("")
    assert "bucket's name" in told.value.hint


@of_moto
def test_what_objects_are_written_with(s3: Server) -> None:
    """Storage class, encryption, tags and content type arrive, at once and in parts."""
    name = s3.make_bucket()
    settings = {
        "storage_class": "STANDARD_IA", "server_side_encryption": "AES256", "acl": "bucket-owner-full-control",
        "tagging": {"lab": "a b", "x": "1"}, "request_payer": "requester",
    }  # fmt: skip
    bucket = _open(s3.url, name, **settings)
    bucket.put("one", b"x", headers={"content-type": "text/csv"})
    upload_id = bucket.begin("many", {"content-type": "text/csv"})
    bucket.complete("many", upload_id, [bucket.put_part("many", upload_id, 1, b"x")])
    client = s3.make_client()
    for key in ("one", "many"):
        head = client.head_object(Bucket=name, Key=key)
        assert (head["ContentType"], head["StorageClass"], head["ServerSideEncryption"]) == (
            "text/csv",
            "STANDARD_IA",
            "AES256",
        )
        tags = {
            tag["Key"]: tag["Value"]
            for tag in client.get_object_tagging(Bucket=name, Key=key)["TagSet"]
        }
        assert tags == {"lab": "a b", "x": "1"}


@pytest.mark.parametrize("fault", [CUT, CUT_BODY, CUT_ANSWER, RESET, answer(503, "SlowDown"), answer(500, "InternalError"), answer(429, "TooManyRequests"), answer(400, "RequestTimeout")])  # fmt: skip
def test_what_passes_is_tried_again(proxy: FaultyProxy, s3: Server, fault: object) -> None:
    """A cut connection, a throttled or broken server: the object arrives, with the same bytes."""
    name = s3.make_bucket()
    left = [2]

    def decide(request: Request) -> object:
        if request.method == "PUT" and left[0]:
            left[0] -= 1
            return fault
        return None

    bucket = _open(proxy.url, name)
    proxy.decide = decide  # type: ignore[assignment]
    data = os.urandom(200_000)
    bucket.put("x", data)
    assert bucket.read_small("x")[0] == data
    assert proxy.count("PUT") == 3


def test_a_server_that_is_gone(proxy: FaultyProxy, s3: Server) -> None:
    """It is tried some times, then told as what it is, with what to do."""
    bucket = _open(proxy.url, s3.make_bucket())
    proxy.decide = lambda request: CUT
    with pytest.raises(SilentError) as told:
        bucket.put("x", b"y")
    assert proxy.count("PUT") >= 3
    assert "--resume" in told.value.hint
    assert (told.value.code, told.value.status) == ("", 0)


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "AccessDenied", "s3:PutObject"), (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"), (403, "RequestTimeTooSkewed", "clock"),
        (400, "ExpiredToken", "fresh credentials"), (301, "PermanentRedirect", "s3.region_name"),
        (400, "InvalidStorageClass", "s3.storage_class"), (400, "KMS.DisabledException", "s3.sse_kms_key_id"),
    ],
)  # fmt: skip
def test_what_is_refused_for_good(
    proxy: FaultyProxy, s3: Server, status: int, code: str, hint: str
) -> None:
    """It is not tried again and again, and the reader is told what to change."""
    bucket = _open(proxy.url, s3.make_bucket(), checksum="none")
    proxy.decide = lambda request: answer(status, code) if request.method == "PUT" else None
    with pytest.raises(RefusedError, match=code) as told:
        bucket.put("x", b"y")
    assert hint in told.value.hint
    assert (told.value.code, told.value.status) == (code, status)
    assert proxy.count("PUT") == 1


@pytest.mark.parametrize("body", [b"", b"<Error><Code>NoSuchKey</Code><Message></Message></Error>"])
def test_errors_of_few_words(proxy: FaultyProxy, s3: Server, body: bytes) -> None:
    """An error without a message (Ceph's), or with nothing at all, is still told as what it is."""
    bucket = _open(proxy.url, s3.make_bucket())
    proxy.decide = lambda request: (404, body)
    with pytest.raises(AbsentError, match="404|NoSuchKey"):
        bucket.read_small("x")
    with pytest.raises(AbsentError, match="404|NoSuchKey"):
        bucket.put("x", b"y")


@pytest.mark.parametrize("status", [411, 501, 400])
def test_a_server_without_checksums(proxy: FaultyProxy, s3: Server, status: int) -> None:
    """`auto` goes without where a server cannot, and remembers; `sha256` says so."""
    name = s3.make_bucket()

    def decide(request: Request) -> object:
        has_one = (
            "x-amz-checksum-sha256" in request.headers
            or "x-amz-checksum-algorithm" in request.headers
        )
        return (
            answer(status, "NotImplemented" if status == 501 else "InvalidRequest")
            if has_one
            else None
        )

    proxy.decide = decide  # type: ignore[assignment]
    bucket = _open(proxy.url, name)
    bucket.put("a", b"1")
    bucket.put("b", b"2")
    assert proxy.count("PUT") == 3
    upload_id = bucket.begin("c", {})
    bucket.complete("c", upload_id, [bucket.put_part("c", upload_id, 1, b"3")])
    assert [bucket.read_small(key)[0] for key in "abc"] == [b"1", b"2", b"3"]
    with pytest.raises(StorageError):
        _open(proxy.url, name, checksum="sha256").put("d", b"4")


def test_a_checksum_that_the_server_has_differently(proxy: FaultyProxy, s3: Server) -> None:
    """What the server holds is compared with what was sent, where it says."""
    bucket = _open(proxy.url, s3.make_bucket())
    bucket.put("x", b"y")
    (request,) = [request for request in proxy.seen if request.method == "PUT"]
    assert (
        request.headers["x-amz-checksum-sha256"]
        == base64.b64encode(hashlib.sha256(b"y").digest()).decode()
    )
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(b"y").hexdigest()


@of_moto
def test_credentials_that_are_renewed(
    proxy: FaultyProxy, s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have expired are looked for anew, and the request is sent again with the others."""
    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = s\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    name = _make_bucket(s3, monkeypatch)
    bucket = _open(proxy.url, name)
    proxy.decide = lambda request: (
        answer(400, "ExpiredToken")
        if "Credential=OLD" in request.headers.get("authorization", "")
        else None
    )
    keys.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = s\n")
    bucket.put("x", b"y")
    assert bucket.read_small("x")[0] == b"y"


def _make_bucket(s3: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        return s3.make_bucket()


def test_no_credentials(s3: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are none: said at once, with what to do."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(RefusedError, match="no AWS credentials"):
        _open(s3.url, "bucket")


@of_moto
def test_the_buckets_region_is_found(proxy: FaultyProxy, s3: Server) -> None:
    """A bucket that is elsewhere says so, and requests are signed for there."""
    name = s3.make_bucket()
    client = s3.make_client()
    client.create_bucket(
        Bucket=f"{name}-west", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    bucket = _open(proxy.url, f"{name}-west")
    bucket.put("x", b"y")
    assert "/us-west-2/s3/" in proxy.seen[-1].headers["authorization"]
