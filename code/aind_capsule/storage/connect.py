"""A bucket's server as boto3 finds it: credentials, region, address, authorities.

boto3 sends no request to S3: `signed_requests` does.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from aind_capsule.errors import SettingsError
from aind_capsule.http.proxies import list_proxies
from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.credentials import CredentialSource
from aind_capsule.storage.errors import RefusedError

_DEFAULT_REGION = "us-east-1"
#: Settings that every object is written with, and their headers.
_OBJECT_HEADERS = {
    "server_side_encryption": "x-amz-server-side-encryption",
    "sse_kms_key_id": "x-amz-server-side-encryption-aws-kms-key-id",
    "storage_class": "x-amz-storage-class",
    "acl": "x-amz-acl",
}


class Connection:
    """One bucket's server.

    Args:
        bucket: The bucket.
        settings: How it is reached.

    Attributes:
        region: The bucket's region, as far as it is known.
        origin: The server's address: scheme, host and port.
        path: The bucket's path there; empty where the bucket is in the host's name.
        verify: Whether the server's certificate is verified.
        ca_file: The file of the authorities that are trusted.
        credentials: Who asks.

    Raises:
        StorageError: boto3 or credentials are missing, or the settings cannot be used.
    """

    def __init__(self, bucket: str, settings: S3Settings) -> None:
        self._bucket = bucket
        self._settings = settings
        self._lock = threading.Lock()
        try:
            from botocore.session import Session  # boto3 itself takes a tenth more to import
        except ImportError as error:
            raise RefusedError(
                "S3 needs boto3, which is not installed",
                hint="pip install 'aind-capsule[s3]' where capsule is installed",
            ) from error
        self._make_session = Session
        self.credentials = CredentialSource(self._find_credentials)
        self._open(settings.region_name)

    def move(self, region: str) -> bool:
        """Find the address anew, where the bucket is in another region; return whether it is."""
        with self._lock:
            if region != self.region:
                self._open(region)
        return True

    def _find_credentials(self) -> Any:
        core = self._make_session()
        _set_proxies(core, self._settings.region_name)
        return core.get_credentials()

    def _open(self, region: str | None) -> None:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.httpsession import get_cert_path

        settings = self._settings
        style = settings.addressing_style
        if style == "auto" and settings.endpoint_url is not None:
            style = "path"  # servers of one's own rarely have a name for each bucket
        core = self._make_session()
        keys = self.credentials.get()
        try:
            loader = _make_loader(core.get_config_variable("data_path"))
            core.register_component("data_loader", loader)
            self.region: str = region or core.get_config_variable("region") or _DEFAULT_REGION
            verify = settings.verify
            if verify is True:
                verify = core.get_config_variable("ca_bundle") or True
            client = core.create_client(
                "s3",
                region_name=self.region,
                endpoint_url=settings.endpoint_url,
                verify=verify,
                config=Config(s3={"addressing_style": style}),
                # These are found; boto3 would look for them once more, without a deadline.
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
            )
            # boto3 knows how a bucket is addressed: by style, region, dual stack, access point.
            example = client.generate_presigned_url(
                "put_object", Params={"Bucket": self._bucket, "Key": "x"}
            )
        except (BotoCoreError, ValueError) as error:
            raise RefusedError(
                f"Reaching bucket {self._bucket} failed: {error}", hint="Correct the s3 settings."
            ) from error
        parts = urlsplit(example)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path.removesuffix("/x")
        self.verify = verify is not False
        path = get_cert_path(verify)
        self.ca_file: str | None = os.fspath(path) if path else None


@functools.cache
def _make_loader(data_path: str | None) -> Any:
    """Return what keeps boto3's models: a second client takes 0.01 s of CPU instead of 0.08."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _set_proxies(session: Any, region: str | None) -> None:
    """Have boto3 reach STS, where credentials may come from, by the proxy that our requests use.

    By itself it knows neither `ALL_PROXY` nor networks in `NO_PROXY`.
    """
    from botocore.config import Config

    region = region or session.get_config_variable("region") or _DEFAULT_REGION
    host = f"sts.{region}.amazonaws.com"
    try:
        proxies = {
            **list_proxies(f"http://{host}", os.environ),
            **list_proxies(f"https://{host}", os.environ),
        }
    except SettingsError:
        return  # the credentials may come from elsewhere, and the bucket need no proxy
    session.set_default_client_config(Config(proxies=proxies))


def find_region(headers: Mapping[str, str]) -> str:
    """Return the bucket's region, where an answer has it, or an empty text."""
    return headers.get("x-amz-bucket-region", "")


def build_payer_headers(settings: S3Settings) -> dict[str, str]:
    """Return the header that says who pays for a request."""
    return {"x-amz-request-payer": settings.request_payer} if settings.request_payer else {}


def build_object_headers(settings: S3Settings) -> dict[str, str]:
    """Return the headers that every object is written with."""
    found = {
        header: getattr(settings, name)
        for name, header in _OBJECT_HEADERS.items()
        if getattr(settings, name)
    }
    if settings.tagging:
        found["x-amz-tagging"] = urlencode(settings.tagging)
    return found
