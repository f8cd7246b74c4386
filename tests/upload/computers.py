"""Computers that upload one folder each to one asset, by commands that may be killed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.storage.proxy import CUT, FaultyProxy, Request, answer
from tests.upload.assets import Uploader
from tests.upload.forks import Ended, Forks

MIB = 1024 * 1024
#: Of an object in parts: moto takes small ones, other servers do not.
PART_BYTES = 5 * MIB if "S3_ENDPOINT_URL" in os.environ else 64 * 1024
LARGE = PART_BYTES * 5 // 2

Fault = tuple[int, bytes] | str | None
Rule = Callable[[Request], Fault]

#: What the documented minimum, s3:PutObject and s3:AbortMultipartUpload, leaves out.
NOT_IN_MINIMUM = ("GetObject", "ListBucket", "DeleteObject", "ListBucketMultipartUploads")


class Computer:
    """A folder of results, and a home that remembers its uploads.

    Args:
        uploader: The folder, the bucket, and the way to look at it.
        proxy: What stands in front of the server.
        forks: A process that starts commands.

    Attributes:
        foreign_uploads: Ids of what other tools have begun in parts.
    """

    def __init__(self, uploader: Uploader, proxy: FaultyProxy, forks: Forks) -> None:
        self.uploader = uploader
        self.folder = uploader.folder
        self.proxy = proxy
        self.forks = forks
        self.foreign_uploads: list[str] = []
        self.environ = {
            **uploader.environ,
            "CAPSULE_S3__RETRY_FOR": "0.5",
            "CAPSULE_S3__MAX_CONCURRENCY": "2",
            "XDG_STATE_HOME": str(uploader.root / "home/state"),
        }

    @property
    def files(self) -> dict[str, bytes]:
        """All files of the folder."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def write_some(self, word: bytes = b"1") -> None:
        """Write three small files and one that needs parts, of the same sizes for each word."""
        for name in ("a", "d/b", "z"):
            self.write(name, word * 9)
        self.write("big", word * LARGE)

    def upload(self, *options: str, name: str | None = "name", **env: str) -> Ended:
        """Upload the folder."""
        words = [str(self.folder), f"s3://{self.uploader.bucket}/assets"]
        return self.run(*words, *(() if name is None else ("--asset-name", name)), *options, **env)

    def resume(self, *options: str, **env: str) -> Ended:
        """Go on with what ended early."""
        return self.run("--resume", str(self.folder), *options, **env)

    def run(self, *words: str, **env: str) -> Ended:
        """Run `capsule upload`."""
        ended = self.forks.run(["upload", *words], {**self.environ, **env}, self.folder.parent)
        said = ended.output.strip().splitlines()
        options = [word for word in words if word.startswith("--") and word != "--asset-name"]
        line = re.sub(r"s3://\S+?/assets", "s3://B/assets", said[-1] if said else "")
        print(f"SEEN| upload {' '.join(options)} | {ended.status} | {line[:230]}")
        assert "Traceback" not in ended.output, ended.output
        return ended

    def check_whole(self, *, has_parts: bool = False) -> dict[str, Any]:
        """Check that the asset is just the folder, and that no parts are left over.

        An upload in parts that was begun just before a kill may stay, without any part.

        Args:
            has_parts: Whether another computer may have left some.
        """
        client, bucket = self.uploader.client, self.uploader.bucket
        rows: list[Any] = []
        with contextlib.suppress(client.exceptions.NoSuchUpload):  # rclone says so of none
            rows = client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
        for row in rows:
            key, upload_id = row["Key"], row["UploadId"]
            if upload_id not in self.foreign_uploads and not has_parts:
                listed = client.list_parts(Bucket=bucket, Key=key, UploadId=upload_id)
                assert "Parts" not in listed, f"parts of {key} are left over"
        return self.uploader.check_bytes(self.files)

    def check_manifest(self) -> dict[str, Any] | None:
        """Check that a manifest names only what is there; returns it, None where there is none."""
        manifest: dict[str, Any] | None = self.uploader.get("manifest.json")
        if manifest is None or manifest.get("is_incomplete"):
            return None
        there = self.uploader.read()
        for row in manifest["files"]:
            assert hashlib.sha256(there[row["key"]]).hexdigest() == row["sha256"], row
        return manifest

    def put_foreign(self, name: str, data: bytes, asset: str = "name") -> None:
        """Another tool writes an object."""
        key = f"assets/{asset}/{name}"
        self.uploader.client.put_object(Bucket=self.uploader.bucket, Key=key, Body=data)

    def begin_foreign(self, name: str, asset: str = "name") -> str:
        """Another tool begins an object in parts; returns its id."""
        client, key = self.uploader.client, f"assets/{asset}/{name}"
        begun = client.create_multipart_upload(Bucket=self.uploader.bucket, Key=key)
        client.upload_part(
            Bucket=self.uploader.bucket,
            Key=key,
            UploadId=begun["UploadId"],
            PartNumber=1,
            Body=b"x",
        )
        self.foreign_uploads.append(begun["UploadId"])
        return str(begun["UploadId"])

    def abort_all(self) -> int:
        """The bucket's lifecycle aborts all that is in parts; returns how many.

        From then on they are unknown, which moto answers to Complete by its crash.
        """
        client, bucket = self.uploader.client, self.uploader.bucket
        rows = client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())
        for row in rows:
            client.abort_multipart_upload(Bucket=bucket, Key=row["Key"], UploadId=row["UploadId"])
        ids = {row["UploadId"] for row in rows}
        self.proxy.decide = refuse(
            lambda request: any(upload_id in request.path for upload_id in ids), 404, "NoSuchUpload"
        )
        return len(rows)

    def heal(self) -> None:
        """Let all requests pass again."""
        self.proxy.decide = lambda request: None
        self.proxy.before = self.proxy.after = lambda request: None

    def kill_before(self, is_it: Callable[[Request], bool]) -> None:
        """Kill the command at a request, which does not arrive."""

        def decide(request: Request) -> Fault:
            if is_it(request):
                self.forks.kill()
                return CUT
            return None

        self.proxy.decide = decide

    def kill_after(self, is_it: Callable[[Request], bool]) -> None:
        """Kill the command when the server has done what a request asks."""
        self.proxy.after = lambda request: self.forks.kill() if is_it(request) else None


def first_of(values: Iterable[Any]) -> list[Any]:
    """Return values for `parametrize`, of which the default tests have the first alone."""
    first, *others = values
    return [first, *(pytest.param(value, marks=pytest.mark.slow) for value in others)]


def is_put_of(name: str) -> Callable[[Request], bool]:
    """Recognize the request that writes an object at once."""
    return lambda request: (
        request.method == "PUT" and unquote(request.path.partition("?")[0]).endswith(f"/{name}")
        and "uploadId" not in request.path
    )  # fmt: skip


def is_part(number: int) -> Callable[[Request], bool]:
    """Recognize the request that writes a part."""
    return lambda request: (
        request.method == "PUT" and f"partNumber={number}" in request.path.split("?")[-1].split("&")
    )


def is_complete(request: Request) -> bool:
    """Recognize the request that makes one object of parts."""
    return request.method == "POST" and "uploadId=" in request.path


def is_begin(request: Request) -> bool:
    """Recognize the request that begins an object in parts."""
    return request.method == "POST" and "uploads" in request.path.partition("?")[2]


def is_list(request: Request) -> bool:
    """Recognize the request that lists objects."""
    return request.method == "GET" and "list-type=2" in request.path


def nth(number: int, is_it: Callable[[Request], bool]) -> Callable[[Request], bool]:
    """Recognize only the nth of such requests, and those after it."""
    count = [0]

    def check(request: Request) -> bool:
        count[0] += is_it(request)
        return is_it(request) and count[0] >= number

    return check


def refuse(is_it: Callable[[Request], bool], status: int = 403, code: str = "AccessDenied") -> Rule:
    """Answer some requests with an error."""
    return lambda request: answer(status, code) if is_it(request) else None


def once(is_it: Callable[[Request], bool], fault: Fault) -> Rule:
    """Have something happen to the first of such requests."""
    is_done = threading.Event()

    def decide(request: Request) -> Fault:
        if is_it(request) and not is_done.is_set():
            is_done.set()
            return fault
        return None

    return decide


def find_right(request: Request) -> str:
    """The right that S3 wants for a request."""
    url = urlsplit(request.path)
    query = parse_qs(url.query, keep_blank_values=True)
    has_key = "/" in url.path.strip("/")
    if request.method == "GET" and "uploads" in query:
        return "ListBucketMultipartUploads"
    if request.method in ("GET", "HEAD"):
        return "GetObject" if has_key else "ListBucket"
    if request.method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else "DeleteObject"
    return "PutObject"


def deny(uploader: Uploader, *rights: str, also: Rule = lambda request: None) -> Rule:
    """Answer as S3 does without some rights: without that to list, what is not there is refused.

    Args:
        uploader: Looks whether an object is there.
        rights: Without `s3:`.
        also: What else happens.
    """

    def decide(request: Request) -> Fault:
        right = find_right(request)
        if right in rights or request.headers.get("if-match") and "GetObject" in rights:
            return answer(403, "AccessDenied")
        if right == "GetObject" and "ListBucket" in rights:
            client, bucket = uploader.client, uploader.bucket
            key = unquote(urlsplit(request.path).path).partition(f"/{bucket}/")[2]
            try:
                client.head_object(Bucket=bucket, Key=key)
            except client.exceptions.ClientError:
                return answer(403, "AccessDenied")
        return also(request)

    return decide


def knows_conditions(computer: Computer) -> bool:
    """Return whether the server writes an object only where it has a given ETag."""
    uploader = computer.uploader
    key = f"{uploader.asset.folder[:-1]}-condition"
    uploader.client.put_object(Bucket=uploader.bucket, Key=key, Body=b"1")
    try:
        uploader.client.put_object(Bucket=uploader.bucket, Key=key, Body=b"2", IfMatch='"0"')
    except uploader.client.exceptions.ClientError:
        return True
    finally:
        uploader.client.delete_object(Bucket=uploader.bucket, Key=key)
    return False
