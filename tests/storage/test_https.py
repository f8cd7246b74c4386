"""Servers with certificates: https with an authority of one's own, and what is not trusted."""

from __future__ import annotations

import pytest

from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.errors import RefusedError
from aind_capsule.storage.objects import Bucket
from tests.storage.parts import put_in_parts
from tests.storage.servers import Server
from tests.storage.tls import TlsFront

MIB = 1024 * 1024


@pytest.mark.parametrize("told_by", ["setting", "AWS_CA_BUNDLE", "no verification"])
def test_bytes_over_https(
    s3: Server, tls: TlsFront, monkeypatch: pytest.MonkeyPatch, told_by: str
) -> None:
    """An object at once and one in parts come back whole, whoever names the authority."""
    settings = S3Settings(endpoint_url=tls.url)
    ca = str(tls.certificates.ca)
    if told_by == "setting":
        settings = S3Settings(endpoint_url=tls.url, verify=ca)
    elif told_by == "AWS_CA_BUNDLE":
        monkeypatch.setenv("AWS_CA_BUNDLE", ca)
    else:
        settings = S3Settings(endpoint_url=tls.url, verify=False)
    bucket = Bucket(s3.make_bucket(), settings)
    bucket.check("x/")
    bucket.put("x/small", b"some bytes")
    data, _ = put_in_parts(bucket, "x/big")
    assert bucket.read_small("x/small")[0] == b"some bytes"
    assert bucket.read_small("x/big", len(data))[0] == data


@pytest.mark.parametrize("authority", ["the system's", "another"])
def test_a_certificate_that_is_not_trusted(s3: Server, tls: TlsFront, authority: str) -> None:
    """It is refused at once, with the setting that names its authority."""
    settings = S3Settings(endpoint_url=tls.url)
    if authority == "another":
        settings = S3Settings(endpoint_url=tls.url, verify=str(tls.certificates.other_ca))
    name = s3.make_bucket()
    with pytest.raises(RefusedError, match="certificate") as told:
        Bucket(name, settings).check("x/")
    assert "s3.verify" in told.value.hint
    with pytest.raises(RefusedError, match="certificate") as told:
        Bucket(name, settings).put("x", b"y")
    assert "s3.verify" in told.value.hint
