"""What the sequences of uploads are judged by: two computers, two endpoints, and every object read back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import build_environ
from tests.storage.proxy import FaultyProxy
from tests.storage.servers import Server
from tests.upload.forks import Ended, Forks

OURS = (".claim", "manifest.json")
#: Names that uploads have: two that cannot be both in a folder, and one that other tools write.
NAMES = ("a.txt", "b.bin", "d/a.txt", "units.csv", "units.csv/in", "subject.json")


class Wrong(AssertionError):
    """What a server holds is not what was promised."""


@dataclass
class Endpoint:
    """A server, and the proxy that stands in front of it."""

    server: Server
    proxy: FaultyProxy
    client: Any


@dataclass
class Computer:
    """A computer: a folder of results, and a home that remembers its uploads."""

    folder: Path
    forks: Forks
    environ: dict[str, str]
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, name: str, data: bytes) -> None:
        """Write a file; what stands in the place of it or of its folders goes."""
        path = self.folder / name
        for other in list(self.files):
            if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
                self.remove(other)
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.files[name] = data

    def remove(self, name: str) -> None:
        """Remove a file, and its folders where they are empty now."""
        self.files.pop(name, None)
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
        for parent in path.relative_to(self.folder).parents:
            with contextlib.suppress(OSError):
                if parent.name:
                    (self.folder / parent).rmdir()

    def empty(self) -> None:
        """Remove all files; the folder stays."""
        for name in list(self.files):
            self.remove(name)

    def replace(self) -> None:
        """Have another folder, of the same name."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.files.clear()


class BucketModel:
    """Two computers that upload to one asset on two endpoints, and what other tools have put there.

    Args:
        endpoints: Two, each with the bucket.
        bucket: Its name.
        root: An empty folder.
        forks: A process that starts commands, for each computer.
    """

    def __init__(
        self, endpoints: list[Endpoint], bucket: str, root: Path, forks: list[Forks]
    ) -> None:
        self.endpoints = endpoints
        self.bucket = bucket
        self.prefix = f"assets-{uuid.uuid4().hex[:10]}"
        self.asset = f"{self.prefix}/name/"
        self.computers = []
        for number, process in enumerate(forks):
            home = root / f"home{number}"
            home.mkdir()
            environ = build_environ(home) | {
                k: v for k, v in os.environ.items() if k.startswith("AWS_")
            }
            environ |= {"XDG_STATE_HOME": str(home / "state"), "TMPDIR": str(home)}
            environ |= {"CAPSULE_S3__MAX_CONCURRENCY": "3", "CAPSULE_S3__RETRY_FOR": "0.3"}
            folder = root / f"tree{number}"
            folder.mkdir()
            self.computers.append(Computer(folder, process, environ))
        #: By endpoint and key.
        self.foreign: dict[tuple[int, str], bytes] = {}
        self.foreign_uploads: dict[tuple[int, str], str] = {}
        self.story: list[str] = []

    def run(self, computer: int, endpoint: int, *args: str) -> Ended:
        """Run `capsule upload` on a computer, with an endpoint that its settings name."""
        mine = self.computers[computer]
        environ = mine.environ | {"CAPSULE_S3__ENDPOINT_URL": self.endpoints[endpoint].proxy.url}
        ended = mine.forks.run(["upload", "--json", *args], environ, mine.folder.parent)
        self.story.append(
            f"computer {computer}: upload {' '.join(args)} -> {ended.status} {ended.output[-300:]!r}"
        )
        return ended

    def put_foreign(self, endpoint: int, name: str, data: bytes) -> bool:
        """Another tool writes an object, where there is none; whether it did."""
        client, key = self.endpoints[endpoint].client, self.asset + name
        if name in self.read(endpoint) or (endpoint, name) in self.foreign:
            return False
        client.put_object(Bucket=self.bucket, Key=key, Body=data)
        self.foreign[endpoint, name] = data
        return True

    def begin_foreign(self, endpoint: int, name: str) -> None:
        """Another tool begins an object in parts."""
        if (endpoint, name) not in self.foreign_uploads:
            client, key = self.endpoints[endpoint].client, self.asset + name
            told = client.create_multipart_upload(Bucket=self.bucket, Key=key)
            client.upload_part(Bucket=self.bucket, Key=key, UploadId=told["UploadId"], PartNumber=1, Body=b"x")  # fmt: skip
            self.foreign_uploads[endpoint, name] = told["UploadId"]

    def abort_ours(self, endpoint: int) -> None:
        """The bucket's lifecycle aborts what is in parts, but for what other tools have begun."""
        client = self.endpoints[endpoint].client
        for row in client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.asset).get(
            "Uploads", ()
        ):
            if row["UploadId"] not in self.foreign_uploads.values() and row["Key"].startswith(
                self.asset
            ):
                with contextlib.suppress(client.exceptions.ClientError):
                    client.abort_multipart_upload(Bucket=self.bucket, Key=row["Key"], UploadId=row["UploadId"])  # fmt: skip

    def read(self, endpoint: int) -> dict[str, bytes]:
        """All objects of the asset."""
        client = self.endpoints[endpoint].client
        return {
            row["Key"][len(self.asset) :]: client.get_object(Bucket=self.bucket, Key=row["Key"])[
                "Body"
            ].read()
            for row in self._list(client)
        }

    def _list(self, client: Any) -> Iterator[dict[str, Any]]:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.asset
        )
        for page in pages:
            yield from page.get("Contents", ())

    def check(self, *, is_mixed: bool = False) -> None:
        """Check what holds after each step, on both endpoints.

        Args:
            is_mixed: Whether something else wrote while an upload ran: then bytes behind the
                manifest of an upload that has failed are no promise.
        """
        for number, endpoint in enumerate(self.endpoints):
            there = self.read(number)
            for (where, name), data in self.foreign.items():
                if where == number and there.get(name) != data:
                    raise self._fail(f"the foreign object {name} is now {there.get(name)!r:.60}")
            client = endpoint.client
            if self.foreign_uploads:
                rows = client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
                ids = {row["UploadId"] for row in rows}
                for (where, name), upload_id in self.foreign_uploads.items():
                    if where == number and upload_id not in ids:
                        raise self._fail(f"the foreign upload in parts of {name} was aborted")
            if "manifest.json" in there and not is_mixed:
                self._check_manifest(there)

    def check_is_local(self, computer: int, endpoint: int) -> None:
        """Check that the asset is just what is in a computer's folder."""
        there = self.read(endpoint)
        if "manifest.json" not in there:
            raise self._fail("exit status 0, and there is no manifest")
        manifest = self._check_manifest(there)
        local = self.computers[computer].files
        rows = {row["key"]: row["sha256"] for row in manifest["files"]}
        wanted = {name: hashlib.sha256(data).hexdigest() for name, data in local.items()}
        if rows != wanted:
            raise self._fail(
                f"exit status 0, and the manifest has {sorted(rows)}, the folder {sorted(wanted)}, or other bytes"
            )

    def _check_manifest(self, there: dict[str, bytes]) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = json.loads(there["manifest.json"])
        except ValueError as error:
            raise self._fail(
                f"the manifest cannot be read: {there['manifest.json'][:80]!r}"
            ) from error
        for row in manifest["files"]:
            data = there.get(row["key"])
            if data is None:
                raise self._fail(f"the manifest names {row['key']}, which is not there")
            if (len(data), hashlib.sha256(data).hexdigest()) != (row["size"], row["sha256"]):
                raise self._fail(f"the manifest names {row['key']} with other bytes")
        return manifest

    def _fail(self, what: str) -> Wrong:
        return Wrong("\n".join([what, *self.story]))
