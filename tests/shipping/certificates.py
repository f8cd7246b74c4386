"""A private certificate authority, and certificates of a server and of a client, for tests of TLS."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization


@dataclass(frozen=True)
class Certificates:
    """Certificates of one authority, as PEM files.

    Attributes:
        ca: The authority, which has issued all but `other_ca`.
        other_ca: An authority that has issued nothing.
        server: A server's certificate, with its key.
        elsewhere: One for another name, with its key.
        expired: One that was good until yesterday, with its key.
        client: A client's certificate.
        client_key: Its key.
        client_both: Both in one file.
        encrypted_key: The client's key, with a passphrase.
    """

    ca: Path
    other_ca: Path
    server: Path
    elsewhere: Path
    expired: Path
    client: Path
    client_key: Path
    client_both: Path
    encrypted_key: Path

    def make_server_context(
        self,
        certificate: Path | None = None,
        *,
        wants_client: bool = False,
        newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ) -> ssl.SSLContext:
        """A server's side of TLS; one that wants a client's certificate takes the authority's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate or self.server)
        context.maximum_version = newest
        if wants_client:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_certificates(folder: Path, *names: str) -> Certificates:
    """Write certificates into a folder; the server's is for these names and addresses."""
    authority = trustme.CA()
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    client = authority.issue_cert("client@example.org")
    key = client.private_key_pem.bytes()
    encrypted = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a passphrase"),
    )

    def write(name: str, data: bytes) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    def issue(name: str, *identities: str, end: datetime.datetime | None = None) -> Path:
        issued = authority.issue_cert(*identities, not_after=end)
        return write(name, issued.private_key_and_cert_chain_pem.bytes())

    return Certificates(
        ca=write("ca.pem", authority.cert_pem.bytes()),
        other_ca=write("other_ca.pem", trustme.CA().cert_pem.bytes()),
        server=issue("server.pem", *names),
        elsewhere=issue("elsewhere.pem", "elsewhere.example.org"),
        expired=issue("expired.pem", *names, end=yesterday),
        client=write("client.pem", client.cert_chain_pems[0].bytes()),
        client_key=write("client.key", key),
        client_both=write("client_both.pem", client.private_key_and_cert_chain_pem.bytes()),
        encrypted_key=write("encrypted.key", encrypted),
    )
