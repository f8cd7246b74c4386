"""TLS: whom the client trusts, what it shows, and how it says what is wrong."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.errors import SettingsError
from aind_capsule.http.client import (
    TlsOptions,
)
from tests.http.servers import (
    NO_CONTENT,
    MakeClient,
    RawServer,
    StartServer,
    answer,
    build_answer,
    fail,
)
from tests.shipping.certificates import Certificates


def test_a_private_authority_is_trusted(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """With the CA's file its servers are trusted, by name and by address, and connections are kept."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    for host in ("localhost", "127.0.0.1"):
        client = make(f"https://{host}:{server.port}", tls=TlsOptions(ca_file=str(certificates.ca)))
        assert [client.request("POST", "/", body=b"x" * 300_000).status for _ in range(2)] == [
            204,
            204,
        ]
    assert server.connections == 2
    assert {len(seen.body) for seen in server.seen} == {300_000}


def test_the_servers_own_certificate_is_enough(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """The file may hold the server's own certificate instead of its CA's, on every Python."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    client = make(f"https://{server.address}", tls=TlsOptions(ca_file=str(certificates.server)))
    assert client.request("GET", "/").status == 204


def test_an_untrusted_server_hears_nothing(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """A certificate of an unknown CA is refused before anything is sent, and the cure is named."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    for tls in (TlsOptions(), TlsOptions(ca_file=str(certificates.other_ca))):
        error = fail(
            make(f"https://{server.address}", tls=tls, headers={"Authorization": "hunter2"})
        )
        assert f"The TLS certificate of {server.address} is not trusted" in error.message
        assert "give the server's CA" in error.message
        assert not error.may_have_arrived
    assert server.seen == []


@pytest.mark.parametrize(("which", "words"), [("elsewhere", "mismatch"), ("expired", "expired")])
def test_a_certificate_must_hold(
    start: StartServer, make: MakeClient, certificates: Certificates, which: str, words: str
) -> None:
    """A certificate for another name, or one that has expired, is refused for that reason."""
    server = start(
        answer(NO_CONTENT), certificates.make_server_context(getattr(certificates, which))
    )
    error = fail(make(f"https://{server.address}", tls=TlsOptions(ca_file=str(certificates.ca))))
    assert "does not hold" in error.message
    assert words in error.message
    assert "give the server's CA" not in error.message
    assert not error.may_have_arrived
    assert server.seen == []


def test_verification_can_be_switched_off(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """With `verify` off any certificate will do."""
    server = start(answer(NO_CONTENT), certificates.make_server_context(certificates.expired))
    assert (
        make(f"https://{server.address}", tls=TlsOptions(verify=False)).request("GET", "/").status
        == 204
    )


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_shown(
    start: StartServer, make: MakeClient, certificates: Certificates, newest: ssl.TLSVersion
) -> None:
    """A server that wants a certificate gets it, key in a file of its own or not; without one the error
    names the cure, and nothing has arrived."""
    context = certificates.make_server_context(wants_client=True, newest=newest)
    server = start(answer(NO_CONTENT), context)
    ca, cert, key = str(certificates.ca), str(certificates.client), str(certificates.client_key)
    for tls in (
        TlsOptions(True, ca, cert, key),
        TlsOptions(True, ca, str(certificates.client_both)),
    ):
        assert make(f"https://{server.address}", tls=tls).request("GET", "/").status == 204
    error = fail(make(f"https://{server.address}", tls=TlsOptions(True, ca)))
    # The server hangs up as it refuses: its reason may be lost on the way.
    if "closed the connection" not in error.message:
        assert "give a client certificate and key" in error.message
        assert not error.may_have_arrived
    assert len(server.seen) == 2


def test_https_to_a_plain_server(start: StartServer, make: MakeClient) -> None:
    """An https address of a server that speaks http is named as such."""

    def serve(server: RawServer, connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(build_answer(b"", "400 Bad Request"))
        connection.recv(65536)

    server = start(serve)
    error = fail(make(f"https://{server.address}"))
    assert error.message == f"{server.address} does not speak TLS: is it an http:// address?"
    assert not error.may_have_arrived


def test_a_server_that_hangs_up_in_the_handshake(start: StartServer, make: MakeClient) -> None:
    """A connection that is closed in the handshake is an error, and nothing has arrived."""

    def serve(server: RawServer, connection: Any) -> None:
        connection.recv(65536)

    error = fail(make(f"https://{start(serve).address}"))
    assert "closed the connection in the TLS handshake" in error.message
    assert not error.may_have_arrived


def test_files_for_tls_are_checked_at_once(
    make: MakeClient, certificates: Certificates, tmp_path: Path
) -> None:
    """A file that is missing, or is not what it should be, is a wrong setting that names the file; an
    encrypted key does not ask for its passphrase."""
    ca, cert, key = str(certificates.ca), str(certificates.client), str(certificates.client_key)
    missing, empty = str(tmp_path / "missing.pem"), str(tmp_path / "empty.pem")
    Path(empty).write_text("nothing\n")
    for tls, name, words in (
        (TlsOptions(ca_file=missing), missing, "cannot be read"),
        (TlsOptions(ca_file=str(tmp_path)), str(tmp_path), "cannot be read"),
        (TlsOptions(ca_file=empty), empty, "holds no certificate"),
        (TlsOptions(client_cert=missing, client_key=key), missing, "cannot be read"),
        (TlsOptions(client_cert=cert, client_key=missing), missing, "cannot be read"),
        (TlsOptions(client_cert=empty, client_key=key), empty, "cannot be used"),
        (TlsOptions(client_cert=cert), cert, "cannot be used"),
        (TlsOptions(client_cert=ca, client_key=key), key, "cannot be used"),
        (
            TlsOptions(client_cert=cert, client_key=str(certificates.encrypted_key)),
            "encrypted.key",
            "is encrypted",
        ),
        (TlsOptions(client_key=key), "", "no client certificate"),
    ):
        with pytest.raises(SettingsError, match=words) as caught:
            make("https://localhost", tls=tls)
        assert name in caught.value.message
        assert caught.value.hint
    make("http://localhost", tls=TlsOptions(ca_file=missing))  # not needed
