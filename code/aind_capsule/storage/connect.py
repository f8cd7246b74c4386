"""The connection to a bucket's server, as boto3 finds it: credentials, region, address, proxies.

By botocore, which boto3 is made of: what boto3 adds is not used, and takes 0.1 s to import.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from aind_capsule.records.encode import decode
from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.errors import RefusedError, SilentError, explain, find_region

CONNECT_S = 10.0
READ_S = 60.0
_DEFAULT_REGION = "us-east-1"
_ATTEMPTS = 6
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: What boto3 calls a setting, and the header that says it.
_OBJECT_SETTINGS = {
    "server_side_encryption": ("ServerSideEncryption", "x-amz-server-side-encryption"),
    "sse_kms_key_id": ("SSEKMSKeyId", "x-amz-server-side-encryption-aws-kms-key-id"),
    "storage_class": ("StorageClass", "x-amz-storage-class"),
    "acl": ("ACL", "x-amz-acl"),
    "request_payer": ("RequestPayer", "x-amz-request-payer"),
}


class Connection:
    """One bucket's server.

    Args:
        bucket: The bucket.
        settings: How it is reached.

    Raises:
        RefusedError: botocore or credentials are missing, or the settings cannot be used.
    """

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        self._bucket = bucket
        self._settings = settings
        self._lock = threading.Lock()
        with self.explaining(f"Reaching bucket {bucket}"):
            self._open(settings.region_name)
            if settings.region_name is None:
                self._find_region()

    def _open(self, region: str | None) -> None:
        try:
            from botocore.config import Config
        except ImportError as error:
            raise RefusedError(
                "S3 needs botocore, boto3's core, which is not installed",
                hint="pip install 'aind-capsule[s3]' where capsule is installed",
            ) from error
        session = _make_session()
        self._credentials = session.get_credentials()
        if self._credentials is None:
            raise RefusedError(
                "There are no AWS credentials",
                hint="Attach a role, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret.",
            )
        settings = self._settings
        style = settings.addressing_style
        if style == "auto" and settings.endpoint_url is not None:
            style = "path"  # servers of one's own rarely have a name for each bucket
        config = Config(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            max_pool_connections=max(10, settings.max_concurrency),
            s3={"addressing_style": style},
            # Checksums of ours go in headers; boto3's trailers are refused by some servers (411).
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            proxies=None if self.find_proxies(settings.endpoint_url) else {},
        )
        self.region = region or session.get_config_variable("region") or _DEFAULT_REGION
        verify = settings.verify if settings.verify is not True else None
        self.client = session.create_client(
            "s3",
            region_name=self.region,
            endpoint_url=settings.endpoint_url,
            verify=verify,
            config=config,
        )
        self.verify: bool | str = settings.verify
        if verify is None:
            self.verify = session.get_config_variable("ca_bundle") or True
        # boto3 knows how a bucket is addressed: by style, region, dual stack, access point.
        example = self.client.generate_presigned_url(
            "put_object", Params={"Bucket": self._bucket, "Key": "x"}
        )
        parts = urlsplit(example)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path.removesuffix("/x")

    def _find_region(self) -> None:
        """Ask where the bucket is; who may not know it goes on with what is set."""
        from botocore.exceptions import BotoCoreError, ClientError

        headers: Mapping[str, str] = {}
        try:
            headers = self.client.head_bucket(Bucket=self._bucket)["ResponseMetadata"][
                "HTTPHeaders"
            ]
        except ClientError as error:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        except BotoCoreError:
            return
        region = find_region(headers)
        if region and region != self.region:
            self._open(region)

    @property
    def credentials(self) -> Any:
        """The credentials of now (`ReadOnlyCredentials`); boto3 renews those that can be."""
        return self._credentials.get_frozen_credentials()

    def renew(self, refused: Any) -> bool:
        """Look for credentials anew, where those were refused; whether there are others."""
        with self._lock:
            if self.credentials != refused:
                return True
            self._open(self.region)
            return bool(self.credentials != refused)

    @staticmethod
    def find_proxies(url: str | None) -> dict[str, str]:
        """Proxies by scheme for an address; none for this machine."""
        from botocore.utils import get_environ_proxies

        if url is None:
            return dict(get_environ_proxies("https://s3.amazonaws.com"))
        if urlsplit(url).hostname in _LOOPBACK:
            return {}
        return dict(get_environ_proxies(url))

    @contextlib.contextmanager
    def explaining(self, what: str) -> Iterator[None]:
        """What boto3 raises becomes an error of ours.

        Args:
            what: What is tried, such as `Writing s3://bucket/key`.

        Raises:
            StorageError: See `storage.errors`.
        """
        try:
            from botocore import exceptions
        except ImportError:  # said where it is imported first
            yield
            return
        try:
            yield
        except exceptions.ClientError as error:
            told = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            # Ceph's errors have an empty message, which is None here.
            code, message = told.get("Code") or "", told.get("Message") or ""
            raise explain(what, status, code, message) from error
        except exceptions.SSLError as error:
            raise RefusedError(f"{what} failed: {error}", hint=HINT_TLS) from error
        except (
            exceptions.ConnectionError,
            exceptions.HTTPClientError,
            exceptions.IncompleteReadError,
        ) as error:
            raise SilentError(f"{what} failed: {error}", hint=HINT_SILENT) from error
        except (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
            exceptions.ProfileNotFound,
        ) as error:
            hint = "Correct the credentials: role, profile, or AWS_… variables."
            raise RefusedError(f"{what} failed: {error}", hint=hint) from error
        except (exceptions.BotoCoreError, ValueError) as error:
            raise RefusedError(
                f"{what} failed: {error}", hint="Correct the s3 settings."
            ) from error


@functools.cache
def _make_loader(data_path: str | None) -> Any:
    from botocore.loaders import create_loader

    loader = create_loader(data_path)
    loader.file_loader = _ModelFiles(loader.file_loader.exists)
    return loader


@dataclass(frozen=True, slots=True)
class _ModelFiles:
    """botocore's models by our JSON reader: 3 MB, and a third of the time that a client takes."""

    exists: Callable[[str], bool]

    @staticmethod
    def load_file(path: str) -> dict[str, Any] | None:
        """A model, or None where there is none; its name has no ending."""
        for ending, open_file in ((".json", open), (".json.gz", gzip.open)):
            if os.path.isfile(path + ending):
                with open_file(path + ending, "rb") as file:
                    return decode(file.read())
        return None


def _make_session() -> Any:
    """A session that shares what was read of boto3's models: they take 0.1 s each time."""
    from botocore.session import Session

    session = Session()
    loader = _make_loader(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    # Times stay text: nobody here asks for them, and a listing has one for each object.
    factory = session.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=str)
    return session


HINT_SILENT = "Check s3.endpoint_url and the network; then capsule upload --resume."
HINT_TLS = "Name its authorities by s3.verify or AWS_CA_BUNDLE."


def build_payer(settings: S3Settings) -> dict[str, str]:
    """Who pays, as boto3's argument."""
    return {"RequestPayer": settings.request_payer} if settings.request_payer else {}


def build_object_arguments(settings: S3Settings) -> dict[str, str]:
    """What is said of every object that is written, as boto3's arguments."""
    told = {}
    for name, (argument, _) in _OBJECT_SETTINGS.items():
        if name != "request_payer" and getattr(settings, name):
            told[argument] = getattr(settings, name)
    if settings.tagging:
        told["Tagging"] = urlencode(settings.tagging)
    return told


def build_object_headers(settings: S3Settings) -> dict[str, str]:
    """The same as headers."""
    told = {
        header: getattr(settings, name)
        for name, (_, header) in _OBJECT_SETTINGS.items()
        if getattr(settings, name)
    }
    if settings.tagging:
        told["x-amz-tagging"] = urlencode(settings.tagging)
    return told


def find_ca_file(verify: bool | str) -> str | None:
    """The file of the authorities that boto3 trusts."""
    from botocore.httpsession import get_cert_path

    path: str | None = get_cert_path(verify)
    return os.fspath(path) if path else None
