"""What happens to each kind of request for each kind of answer, against a server that is scripted.

The rows and columns are those of the table of retries: sent again, looked at first, or given up.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.errors import (
    AbsentError,
    DamagedError,
    RefusedError,
    SilentError,
    StorageError,
    TakenError,
    UnableError,
)
from aind_capsule.storage.objects import Bucket, Part
from aind_capsule.storage.retry_policy import RetryPolicy
from tests.storage.scripted import (
    BUCKET,
    CLOSE,
    LATE_CLOSE,
    RESET,
    Action,
    Reply,
    ScriptedServer,
    Seen,
    error,
    md5,
)

HTML = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"


def _open(
    scripted: ScriptedServer, retries: RetryPolicy | None = None, **settings: object
) -> Bucket:
    given = {"region_name": "us-east-1", "checksum": "none", **settings}
    retries = retries or RetryPolicy(20.0, 0.02)
    return Bucket(BUCKET, S3Settings(endpoint_url=scripted.url, **given), retries)  # type: ignore[arg-type]


def _read(bucket: Bucket) -> bytes:
    pieces: list[bytes] = []
    bucket.read("there", pieces.append)
    return b"".join(pieces)


PART = Part(1, md5(b"part"), hashlib.sha256(b"part").digest(), "")
#: Each kind of request, and the method that it is sent with.
OPERATIONS: dict[str, tuple[str, Callable[[Bucket], object]]] = {
    "put": ("PUT", lambda b: b.put("x", b"1")),
    "put if absent": ("PUT", lambda b: b.put("claim", b"mine", only_if_absent=True)),
    "part": ("PUT", lambda b: b.put_part("big", "id", 1, b"part")),
    "begin": ("POST", lambda b: b.begin("big", {})),
    "complete": ("POST", lambda b: b.complete("big", "id", [PART])),
    "abort": ("DELETE", lambda b: b.abort("big", "id")),
    "remove": ("DELETE", lambda b: b.remove("there")),
    "list": ("GET", lambda b: list(b.list("th"))),
    "list uploads": ("GET", lambda b: list(b.list_uploads(""))),
    "list parts": ("GET", lambda b: list(b.list_parts("big", "id"))),
    "head": ("HEAD", lambda b: b.head("there")),
    "get": ("GET", _read),
}
operations = pytest.mark.parametrize("operation", OPERATIONS)


def _prepare(scripted: ScriptedServer) -> None:
    scripted.objects["there"] = b"what is there"
    scripted.uploads["id"] = {1: b"part"}


#: What passes: the request is sent again.
PASSING: dict[str, Action] = {
    "closed": CLOSE,
    "reset": RESET,
    "a body that is cut": Reply(200, b"x" * 100, cut=0),
    **{f"{status} of a gateway": Reply(status, HTML) for status in (502, 503, 504, 520)},
    **{f"{status} without a body": Reply(status) for status in (408, 429, 500)},
    "SlowDown": error(503, "SlowDown"),
    "InternalError": error(500, "InternalError"),
    "RequestTimeout": error(400, "RequestTimeout"),
    "OperationAborted": error(409, "OperationAborted"),
    "ConditionalRequestConflict": error(409, "ConditionalRequestConflict"),
}


@operations
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes(scripted: ScriptedServer, operation: str, fault: str) -> None:
    """It is sent again, whatever kind of request it is, until it succeeds."""
    _prepare(scripted)
    method, run = OPERATIONS[operation]
    bucket = _open(scripted)
    action = PASSING[fault]
    left = [2]

    def decide(seen: Seen) -> Action | None:
        is_mine = seen.method == method and left[0] > 0
        left[0] -= is_mine
        return action if is_mine else None

    if method == "HEAD" and isinstance(action, Reply) and action.status in (200, 400, 409):
        pytest.skip("the answer to HEAD has neither body nor code")
    scripted.always = decide
    run(bucket)
    assert left[0] == 0
    assert scripted.count(method) == 3


@operations
def test_a_server_that_restarts(scripted: ScriptedServer, operation: str) -> None:
    """Whoever asks meanwhile waits: connections are refused for a while, then all goes on."""
    _prepare(scripted)
    bucket = _open(scripted)
    bucket.list_uploads("")  # a connection is kept
    scripted.stop()
    starter = threading.Timer(0.3, scripted.start)
    starter.start()
    try:
        OPERATIONS[operation][1](bucket)
    finally:
        starter.join()


@operations
def test_a_server_that_stays_away(scripted: ScriptedServer, operation: str) -> None:
    """After `s3.retry_for` it is given up, with what to do."""
    bucket = _open(scripted, RetryPolicy(0.1, 0.02))
    scripted.always = lambda seen: CLOSE
    with pytest.raises(SilentError) as caught:
        OPERATIONS[operation][1](bucket)
    assert "--resume" in caught.value.hint
    assert (caught.value.code, caught.value.status) == ("", 0)
    assert len(scripted.seen) >= 3


#: What does not pass: it is given up at once.
LASTING = {
    "AccessDenied": (error(403, "AccessDenied"), RefusedError),
    "NoSuchBucket": (error(404, "NoSuchBucket"), RefusedError),
    "SignatureDoesNotMatch": (error(403, "SignatureDoesNotMatch"), RefusedError),
    "PermanentRedirect": (error(301, "PermanentRedirect"), RefusedError),
    "MalformedXML": (error(400, "MalformedXML"), RefusedError),
    "InvalidPartOrder": (error(400, "InvalidPartOrder"), RefusedError),
    "InvalidPart": (error(400, "InvalidPart"), RefusedError),
    "EntityTooSmall": (error(400, "EntityTooSmall"), RefusedError),
    "XMinioStorageFull": (error(507, "XMinioStorageFull"), RefusedError),
    "NotImplemented": (error(501, "NotImplemented"), UnableError),
}


@operations
@pytest.mark.parametrize("code", LASTING)
def test_what_does_not_pass(scripted: ScriptedServer, operation: str, code: str) -> None:
    """It is sent once; the error has its code, its status, and what to do."""
    _prepare(scripted)
    method, run = OPERATIONS[operation]
    bucket = _open(scripted)
    action, kind = LASTING[code]
    if operation == "head" and action.status in (301, 404, 507):
        pytest.skip("the answer to HEAD has no code")
    scripted.always = lambda seen: action
    with pytest.raises(kind) as caught:
        run(bucket)
    assert (caught.value.code, caught.value.status) == (code, action.status)
    assert caught.value.hint
    assert scripted.count(method) == 1


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        ("put", "s3:PutObject"), ("begin", "s3:PutObject"), ("complete", "s3:PutObject"), ("part", "s3:PutObject"),
        ("abort", "s3:AbortMultipartUpload"), ("remove", "s3:DeleteObject"), ("list", "s3:ListBucket"),
        ("list uploads", "s3:ListBucketMultipartUploads"), ("list parts", "s3:ListMultipartUploadParts"),
        ("head", "s3:GetObject"), ("get", "s3:GetObject"),
    ],
)  # fmt: skip
def test_the_permission_that_is_missing(
    scripted: ScriptedServer, operation: str, permission: str
) -> None:
    """The hint names the right that the request needs."""
    bucket = _open(scripted)
    scripted.always = lambda seen: error(403, "AccessDenied")
    with pytest.raises(RefusedError) as caught:
        OPERATIONS[operation][1](bucket)
    assert permission in caught.value.hint


@pytest.mark.parametrize("operation", ["put", "put if absent", "part"])
@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"])
def test_bytes_that_arrive_damaged(scripted: ScriptedServer, operation: str, code: str) -> None:
    """They are sent three times at most."""
    _prepare(scripted)
    bucket = _open(scripted)
    scripted.script.extend([error(400, code)] * 2)
    OPERATIONS[operation][1](bucket)
    assert scripted.count("PUT") == 3
    scripted.script.extend([error(400, code)] * 9)
    with pytest.raises(DamagedError) as caught:
        bucket.put("x", b"1")
    assert caught.value.code == code
    assert scripted.count("PUT") == 6


def test_another_checksum_in_the_answer(scripted: ScriptedServer) -> None:
    """What the server holds is not what was sent: sent again, three times at most."""
    bucket = _open(scripted, checksum="sha256")
    wrong = Reply(200, headers={"x-amz-checksum-sha256": base64.b64encode(b"x" * 32).decode()})
    scripted.script.extend([wrong] * 2)
    bucket.put("x", b"1")
    assert scripted.count("PUT") == 3
    scripted.script.extend([wrong] * 9)
    with pytest.raises(DamagedError):
        bucket.put("x", b"1")
    assert scripted.count("PUT") == 6


def test_a_claim_whose_answer_is_lost(scripted: ScriptedServer) -> None:
    """412 after it is looked at: an object of just these bytes is ours, any other is not."""
    bucket = _open(scripted)
    scripted.script.append(LATE_CLOSE)
    assert bucket.put("claim", b"mine", only_if_absent=True) == md5(b"mine")
    assert [seen.method for seen in scripted.seen] == ["PUT", "PUT", "GET"]
    scripted.script.append(CLOSE)
    with pytest.raises(TakenError):
        bucket.put("claim", b"yours", only_if_absent=True)
    with pytest.raises(TakenError):  # no answer was lost: the same bytes are not ours
        bucket.put("claim", b"mine", only_if_absent=True)
    scripted.script.extend([CLOSE, error(412, "PreconditionFailed"), error(403, "AccessDenied")])
    with pytest.raises(TakenError):
        bucket.put("claim", b"mine", only_if_absent=True)


@pytest.mark.parametrize(
    "lost", [LATE_CLOSE, Reply(500, is_late=True), Reply(504, HTML, is_late=True), Reply(403, is_late=True),
             Reply(200, b"<Error><Code>InternalError</Code></Error>", is_late=True), Reply(200, b"  ", is_late=True)],
)  # fmt: skip
def test_an_answer_to_complete_that_is_lost(scripted: ScriptedServer, lost: Action) -> None:
    """The object is looked at: one that is made of these parts is the answer."""
    _prepare(scripted)
    bucket = _open(scripted)
    scripted.script.append(lost)
    bucket.complete("big", "id", [PART])
    assert [seen.method for seen in scripted.seen] == ["POST", "HEAD"]
    assert scripted.objects["big"] == b"part"


def test_complete_again(scripted: ScriptedServer) -> None:
    """Where the object is another's, or may not be looked at, the request is sent again."""
    _prepare(scripted)
    bucket = _open(scripted)
    scripted.objects["big"] = b"of before"
    scripted.script.append(error(500, "InternalError"))
    bucket.complete("big", "id", [PART])
    assert [seen.method for seen in scripted.seen] == ["POST", "HEAD", "POST"]
    scripted.uploads["id"] = {1: b"part"}
    scripted.script.extend([CLOSE, Reply(403)])
    bucket.complete("big", "id", [PART])


def test_complete_only_if_absent(scripted: ScriptedServer) -> None:
    """An object of just these parts is another's, unless an answer to an earlier try was lost."""
    _prepare(scripted)
    bucket = _open(scripted)
    scripted.script.append(error(412, "PreconditionFailed"))
    scripted.objects["big"], scripted.etags["big"] = (
        b"part",
        f"{md5(bytes.fromhex(md5(b'part')))}-1",
    )
    with pytest.raises(TakenError):
        bucket.complete("big", "id", [PART], only_if_absent=True)
    assert [seen.method for seen in scripted.seen] == ["POST"]
    assert scripted.seen[0].headers["if-none-match"] == "*"
    del scripted.objects["big"]
    scripted.script.extend([LATE_CLOSE, CLOSE, error(412, "PreconditionFailed")])
    bucket.complete("big", "id", [PART], only_if_absent=True)
    assert scripted.objects["big"] == b"part"
    assert [seen.method for seen in scripted.seen[1:]] == ["POST", "HEAD", "POST", "HEAD"]


def test_an_error_with_status_200(scripted: ScriptedServer) -> None:
    """What Complete says after it began: looked at, then sent again."""
    _prepare(scripted)
    bucket = _open(scripted)
    scripted.script.append(error(200, "InternalError"))
    bucket.complete("big", "id", [PART])
    assert [seen.method for seen in scripted.seen] == ["POST", "HEAD", "POST"]
    scripted.script.extend([error(200, "SlowDown")] * 2)
    assert [held.key for held in bucket.list("th")] == ["there"]
    scripted.script.append(error(200, "AccessDenied"))
    with pytest.raises(RefusedError) as caught:
        list(bucket.list("th"))
    assert caught.value.code == "AccessDenied"


@pytest.mark.parametrize(
    "etag",
    ["", "not-md5", md5(b"part"), f"{md5(b'part')}-1", f"{md5(bytes.fromhex(md5(b'part')))}-2"],
)
def test_an_upload_that_is_not_known(scripted: ScriptedServer, etag: str) -> None:
    """An object that is there, but not known to be made of these parts, counts for nothing."""
    bucket = _open(scripted)
    scripted.objects["big"], scripted.etags["big"] = b"part", etag or "x"
    with pytest.raises(RefusedError) as caught:
        bucket.complete("big", "id", [PART])
    assert caught.value.code == "NoSuchUpload"
    scripted.etags["big"] = f"{md5(bytes.fromhex(md5(b'part')))}-1"
    bucket.complete("big", "id", [PART])


def test_an_upload_that_is_known_by_its_checksum(scripted: ScriptedServer) -> None:
    """Where the server keeps checksums, the object's decides, not its ETag."""
    bucket = _open(scripted, checksum="sha256")
    digest = hashlib.sha256(b"part").digest()
    part = Part(1, "an-etag", digest, base64.b64encode(digest).decode())
    whole = base64.b64encode(hashlib.sha256(digest).digest()).decode()

    def decide(seen: Seen) -> Action | None:
        headers = {"x-amz-checksum-sha256": sums[0], "ETag": "?"}
        return Reply(200, headers=headers) if seen.method == "HEAD" else None

    scripted.always = decide
    for sums in ([f"{whole}-2"], [f"{part.checksum}-1"], [whole]):
        with pytest.raises(RefusedError) as caught:
            bucket.complete("big", "id", [part])
        assert caught.value.code == "NoSuchUpload"
    sums = [f"{whole}-1"]
    bucket.complete("big", "id", [part])
    assert scripted.seen[-1].headers["x-amz-checksum-mode"] == "ENABLED"


def test_what_is_gone_already(scripted: ScriptedServer) -> None:
    """An upload that is not known is aborted, an object that is not there is removed."""
    bucket = _open(scripted)
    bucket.abort("big", "nobody's")
    scripted.script.append(error(404, "NoSuchKey"))
    bucket.remove("x")
    assert scripted.count("DELETE") == 2


def test_a_part_of_an_upload_that_is_gone(scripted: ScriptedServer) -> None:
    """Its error has the code by which the upload is begun anew."""
    bucket = _open(scripted)
    with pytest.raises(RefusedError) as caught:
        bucket.put_part("big", "nobody's", 1, b"part")
    assert caught.value.code == "NoSuchUpload"
    assert scripted.count("PUT") == 1


@operations
def test_a_clock_that_differs(scripted: ScriptedServer, operation: str) -> None:
    """The server's time is taken from its answer, once; then the reader is asked to set the clock."""
    _prepare(scripted)
    method, run = OPERATIONS[operation]
    bucket = _open(scripted)
    answer = error(403, "RequestTimeTooSkewed")
    before = time.strftime("%Y%m%dT%H%M", time.gmtime(time.time() + 3600))

    def decide(seen: Seen) -> Action | None:
        return answer if seen.headers["x-amz-date"] < before else None

    scripted.offset_s = 7200.0
    scripted.always = decide
    run(bucket)
    assert len([seen for seen in scripted.seen if seen.headers["x-amz-date"] < before]) in (1, 2)
    scripted.always = lambda seen: answer
    with pytest.raises(RefusedError) as caught:
        run(bucket)
    assert "clock" in caught.value.hint


@operations
@pytest.mark.parametrize(
    "code",
    [
        "ExpiredToken",
        "ExpiredTokenException",
        "TokenRefreshRequired",
        "InvalidToken",
        "InvalidAccessKeyId",
    ],
)
def test_credentials_that_end(
    scripted: ScriptedServer,
    operation: str,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are looked for anew at any request; where there are no others it is given up."""
    _prepare(scripted)
    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = s\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    bucket = _open(scripted)
    scripted.always = lambda seen: (
        error(400, code) if "=OLD/" in seen.headers["authorization"] else None
    )
    with pytest.raises(RefusedError) as caught:
        OPERATIONS[operation][1](bucket)
    assert caught.value.code == code
    keys.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = s\n")
    bucket = _open(scripted)
    keys.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = s\n")
    bucket = _open(scripted)
    keys.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = s\n")
    OPERATIONS[operation][1](bucket)


@pytest.mark.parametrize("operation", ["put", "put if absent", "part", "begin"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "InvalidArgument"),
        (400, "InvalidRequest"),
        (400, ""),
        (501, "NotImplemented"),
        (411, ""),
        (405, "MethodNotAllowed"),
    ],
)
def test_a_server_without_checksums(
    scripted: ScriptedServer, operation: str, status: int, code: str
) -> None:
    """`auto` goes without, once for all; a checksum that was set is not left out."""
    _prepare(scripted)
    names = ("x-amz-checksum-sha256", "x-amz-checksum-algorithm")
    scripted.always = lambda seen: (
        error(status, code) if any(name in seen.headers for name in names) else None
    )
    method, run = OPERATIONS[operation]
    bucket = _open(scripted, checksum="auto")
    run(bucket)
    bucket.put("y", b"2")
    bucket.begin("z", {})
    with_one = [seen for seen in scripted.seen if any(name in seen.headers for name in names)]
    assert len(with_one) == 1
    with pytest.raises(StorageError):
        run(_open(scripted, checksum="sha256"))


@operations
@pytest.mark.parametrize("how", [301, 307, 400])
def test_a_bucket_in_another_region(scripted: ScriptedServer, operation: str, how: int) -> None:
    """Its region is taken from the answer, and the request is signed for there."""
    _prepare(scripted)
    bucket = _open(scripted)
    there = {"x-amz-bucket-region": "eu-west-1"}
    code = "AuthorizationHeaderMalformed" if how == 400 else "PermanentRedirect"
    scripted.always = lambda seen: (
        None if "/eu-west-1/" in seen.headers["authorization"] else error(how, code, there)
    )
    OPERATIONS[operation][1](bucket)
    assert (
        len([seen for seen in scripted.seen if "/us-east-1/" in seen.headers["authorization"]]) == 1
    )


def test_a_region_in_the_body_of_an_error(scripted: ScriptedServer) -> None:
    """Servers without the header say it there."""
    bucket = _open(scripted)
    scripted.script.append(
        error(400, "AuthorizationHeaderMalformed", more="<Region>eu-west-1</Region>")
    )
    bucket.put("x", b"1")
    assert "/eu-west-1/" in scripted.seen[-1].headers["authorization"]


@pytest.mark.parametrize(
    "operation", ["put", "part", "begin", "complete", "list", "list uploads", "list parts"]
)
@pytest.mark.parametrize("body", [HTML, b"\n  <html><head></head></html>"])
@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_web_page(scripted: ScriptedServer, operation: str, body: bytes, status: int) -> None:
    """Where a proxy or a web server answers, the error says that no S3 server does, and where."""
    bucket = _open(scripted)
    scripted.always = lambda seen: Reply(status, body)
    with pytest.raises(RefusedError, match="no S3 server answers at") as caught:
        OPERATIONS[operation][1](bucket)
    assert scripted.url in caught.value.message
    assert "s3.endpoint_url" in caught.value.hint


@pytest.mark.parametrize("operation", ["begin", "list", "list uploads", "list parts"])
@pytest.mark.parametrize("body", [b"", b"OK", b'{"status": "ok"}', b"<rss/>", b"\xff\xfe<"])
def test_what_is_not_s3s_xml(scripted: ScriptedServer, operation: str, body: bytes) -> None:
    """It is not taken for an empty list."""
    bucket = _open(scripted)
    scripted.always = lambda seen: Reply(200, body)
    with pytest.raises(RefusedError, match="no S3 server answers at"):
        OPERATIONS[operation][1](bucket)


def test_a_list_that_is_cut(scripted: ScriptedServer) -> None:
    """A page that ends too early is asked for again: nothing is missing, nothing comes twice."""
    keys = [f"k/{n:03d} +%é\x01" for n in range(25)]
    scripted.objects = dict.fromkeys(keys, b"")
    scripted.page_size = 10
    bucket = _open(scripted)
    page = scripted.do(Seen("GET", "", {"prefix": "k/"}, {}, b""))
    scripted.script.extend([Reply(200, page.body, cut=500), Reply(200, page.body[:500])])
    assert [held.key for held in bucket.list("k/")] == keys
    assert scripted.count("GET") == 5


def test_a_list_that_does_not_go_on(scripted: ScriptedServer) -> None:
    """A list that says that there is more, but not where, is no list."""
    bucket = _open(scripted)
    more = "<ListBucketResult><IsTruncated>true</IsTruncated>%s</ListBucketResult>"
    for token in ("", "<NextContinuationToken>x</NextContinuationToken>"):
        scripted.always = lambda seen, token=token: Reply(200, (more % token).encode())
        with pytest.raises(RefusedError, match="does not say how its list goes on"):
            list(bucket.list(""))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_body_that_is_cut(scripted: ScriptedServer, ranges: bool) -> None:
    """It goes on where it ended, by Range and If-Match; or is skipped where the server has none."""
    data = os.urandom(6_000_000)
    scripted.objects["there"] = data
    bucket = _open(scripted)
    whole = scripted.do(Seen("GET", "there", {}, {}, b""))
    left = [0, 2_500_000, 1_500_000 if ranges else 3_600_000]

    def decide(seen: Seen) -> Action | None:
        if not ranges:
            seen.headers.pop("range", None)
        if not left:
            return scripted.do(seen)
        reply = scripted.do(seen)
        return Reply(reply.status, reply.body, reply.headers, cut=left.pop(0))

    scripted.always = decide
    assert _read(bucket) == data
    assert scripted.count("GET") == 4
    assert scripted.seen[-1].headers["if-match"] == whole.headers["ETag"]
    assert not ranges or scripted.seen[-1].headers["range"] == f"bytes={3 << 20}-"


@pytest.mark.parametrize("ranges", [True, False])
def test_an_object_that_is_replaced_while_it_is_read(
    scripted: ScriptedServer, ranges: bool
) -> None:
    """Its halves are not joined."""
    scripted.objects["there"] = b"a" * 2_000_000
    bucket = _open(scripted)

    def decide(seen: Seen) -> Action | None:
        if not ranges:
            seen.headers.pop("range", None)
            seen.headers.pop("if-match", None)
        reply = scripted.do(seen)
        scripted.objects["there"] = b"b" * 2_000_000
        return Reply(reply.status, reply.body, reply.headers, cut=1_500_000)

    scripted.always = decide
    with pytest.raises(RefusedError, match="replaced while it was read"):
        _read(bucket)


def test_a_range_that_was_not_asked_for(scripted: ScriptedServer) -> None:
    """What comes is put where it belongs, or not at all."""
    scripted.objects["there"] = b"0123456789" * 200_000
    bucket = _open(scripted)
    whole = scripted.do(Seen("GET", "there", {}, {}, b""))
    scripted.script.append(Reply(200, whole.body, whole.headers, cut=1_500_000))
    scripted.script.append(
        Reply(206, b"x" * 10, {"Content-Range": "bytes 5-14/2000000", **whole.headers})
    )
    assert _read(bucket) == scripted.objects["there"]


def test_an_error_of_what_takes_the_pieces(scripted: ScriptedServer) -> None:
    """It is raised as it is, and no connection is blamed for it."""
    scripted.objects["there"] = b"x" * 100

    def take(piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    bucket = _open(scripted)
    with pytest.raises(OSError, match="No space left"):
        bucket.read("there", take)
    assert scripted.count("GET") == 1


def test_the_beginning_of_an_object(scripted: ScriptedServer) -> None:
    """No more than the limit is read."""
    scripted.objects["there"] = b"0123456789" * 1_000_000
    bucket = _open(scripted)
    assert bucket.read_small("there", 15)[0] == b"012345678901234"
    scripted.objects["there"] = b""
    assert bucket.read_small("there", 15)[0] == b""
    with pytest.raises(AbsentError):
        bucket.read_small("nothing")


def test_why_head_is_refused(scripted: ScriptedServer) -> None:
    """The answer to HEAD has no body: GET says why, or answers what HEAD is refused."""
    scripted.objects["there"] = b"123"
    bucket = _open(scripted)
    scripted.script.extend([Reply(403), error(403, "AllAccessDisabled")])
    with pytest.raises(RefusedError) as caught:
        bucket.head("there")
    assert caught.value.code == "AllAccessDisabled"
    scripted.script.append(Reply(405))
    held = bucket.head("there")
    assert held is not None
    assert (held.size, held.etag) == (3, md5(b"123"))


def test_a_proxy_that_asks_for_a_password(scripted: ScriptedServer) -> None:
    """It is given up at once, with the variables that have it."""
    bucket = _open(scripted)
    scripted.always = lambda seen: Reply(407, HTML)
    with pytest.raises(RefusedError) as caught:
        bucket.put("x", b"1")
    assert "HTTP_PROXY" in caught.value.hint
    assert scripted.count("PUT") == 1
