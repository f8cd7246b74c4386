"""Uploads of folders as tests do them: in this process, or by the command."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aind_capsule.settings.load import load_settings
from aind_capsule.storage.addresses import S3Url, parse_s3_url
from aind_capsule.upload.asset import Report
from aind_capsule.upload.beginning import Permission
from aind_capsule.upload.jobs import NOTHING, do_job
from aind_capsule.upload.open_job import OpenJob, find_job_folder, make_job
from tests.conftest import build_environ
from tests.storage.servers import Server

#: Starts a command that reads only what its user may, also where that is root.
WITHOUT_ROOTS_RIGHTS = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)


class Uploader:
    """A folder, a bucket, and the ways to bring the one to the other.

    Attributes:
        folder: What is uploaded.
        bucket: Where to.
        asset: The asset's folder there.
    """

    def __init__(self, server: Server, url: str, root: Path) -> None:
        self.server = server
        self.folder = root / "tree"
        self.folder.mkdir()
        self.root = root
        self.bucket = server.make_bucket()
        self.client = server.make_client()
        self.asset = S3Url(self.bucket, "assets/name")
        self.environ = build_environ(root / "home")
        (root / "home").mkdir()
        self.environ |= {
            name: value for name, value in os.environ.items() if name.startswith("AWS_")
        }
        self.environ["CAPSULE_S3__ENDPOINT_URL"] = url

    def write(self, *names: str, data: bytes = b"data") -> None:
        """Write files."""
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data + name.encode())

    def upload(
        self,
        name: str = "name",
        *,
        permission: Permission = NOTHING,
        may_be_later: bool = False,
        now: dt.datetime = NOW,
        **settings: str,
    ) -> Report:
        """Upload in this process; what was begun before goes on."""
        loaded = load_settings({}, {**self.environ, **settings}, None)
        assert not loaded.problems
        url = parse_s3_url(f"s3://{self.bucket}/assets")
        opened = OpenJob(find_job_folder(str(self.folder), str(url), name, self.environ))
        job = opened.job or make_job(
            str(self.folder), url, name, may_be_later=may_be_later, now=now
        )
        is_done = False
        try:
            report = do_job(opened, job, loaded.settings, lambda _: None, permission=permission)
            is_done = True
        finally:
            opened.close(is_done=is_done)
        return report

    def get_command(self, *words: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "aind_capsule", "upload", *words]

    def run(
        self, *words: str, before: Sequence[str] = (), **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Upload by the command, which another one may start."""
        return subprocess.run([*before, *self.get_command(*words)], env={**self.environ, **env}, cwd=self.root, text=True,
                              capture_output=True, timeout=120, check=False)  # fmt: skip

    def ask_doctor(self, **env: str) -> tuple[int, list[dict[str, Any]]]:
        """What `capsule doctor` says of the place: its exit status and its checks."""
        done = subprocess.run([sys.executable, "-m", "aind_capsule", "doctor", "--json"], cwd=self.root, text=True, check=False,
                              env={**self.environ, "CAPSULE_UPLOAD__URL": f"s3://{self.bucket}/assets", **env}, capture_output=True, timeout=60)  # fmt: skip
        return done.returncode, json.loads(done.stdout)

    def read(self) -> dict[str, bytes]:
        """All objects of the bucket below the asset's folder, without ours."""
        found = {}
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.asset.folder
        )
        for page in pages:
            for row in page.get("Contents", ()):
                name = row["Key"][len(self.asset.folder) :]
                if name not in (".claim", "manifest.json"):
                    found[name] = self.client.get_object(Bucket=self.bucket, Key=row["Key"])[
                        "Body"
                    ].read()
        return found

    def get(self, name: str) -> Any:
        """An object of JSON of the asset; None where there is none."""
        try:
            return json.loads(
                self.client.get_object(Bucket=self.bucket, Key=self.asset.folder + name)[
                    "Body"
                ].read()
            )
        except self.client.exceptions.NoSuchKey:
            return None

    def list_uploads(self) -> list[str]:
        """Keys of objects in parts that were begun and not ended."""
        return [
            row["Key"]
            for row in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
        ]

    def check_whole(self, expected: dict[str, bytes]) -> dict[str, Any]:
        """Check that the asset holds just this, and that its manifest says so; returns it."""
        manifest = self.check_bytes(expected)
        assert self.list_uploads() == []
        return manifest

    def check_bytes(self, expected: dict[str, bytes]) -> dict[str, Any]:
        """Check the same, whatever else is begun in parts."""
        assert self.read() == expected
        manifest = self.get("manifest.json")
        assert manifest is not None, "there is no manifest"
        told = {row["key"]: (row["size"], row["sha256"]) for row in manifest["files"]}
        assert told == {
            name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in expected.items()
        }
        return manifest  # type: ignore[no-any-return]
