"""Which proxy leads to a server, and how it is spoken to."""

from __future__ import annotations

import base64

import pytest

from aind_capsule.errors import SettingsError
from aind_capsule.http.client import (
    TlsOptions,
)
from aind_capsule.http.proxies import Proxy, find_proxy
from tests.http.servers import (
    HOST,
    NO_CONTENT,
    SECRETS,
    SHORT_S,
    MakeClient,
    StartServer,
    answer,
    build_answer,
    fail,
    trickle,
    tunnel_to,
)
from tests.shipping.certificates import Certificates


def test_http_through_a_proxy(start: StartServer, make: MakeClient) -> None:
    """A proxy gets the whole address and its own password, and keeps the connection."""
    proxy = start(answer(NO_CONTENT))
    environ = {"HTTP_PROXY": f"http://me:s3cr3t@{proxy.address}"}
    client = make(
        f"http://{HOST}:3100", environ=environ, headers={"Authorization": "Bearer hunter2"}
    )
    assert [client.request("POST", "/push", body=b"x").status for _ in range(2)] == [204, 204]
    assert proxy.connections == 1
    seen = proxy.seen[0]
    assert seen.line == f"POST http://{HOST}:3100/push HTTP/1.1"
    assert seen.headers["host"] == f"{HOST}:3100"
    assert seen.headers["proxy-authorization"] == f"Basic {SECRETS[2]}"
    assert seen.headers["authorization"] == "Bearer hunter2"


def test_https_through_a_proxy(
    start: StartServer, make: MakeClient, certificates: Certificates
) -> None:
    """An https server is reached by a tunnel: the proxy gets its password and nothing else, and the
    server's certificate is checked by the server's name."""
    server = start(answer(NO_CONTENT), certificates.make_server_context())
    proxy = start(tunnel_to(server.port))
    environ = {"https_proxy": f"me:s3cr3t@{proxy.address}"}
    client = make(
        f"https://{HOST}", environ=environ, tls=TlsOptions(ca_file=str(certificates.ca)),
        headers={"Authorization": "Bearer hunter2"},
    )  # fmt: skip
    assert [client.request("POST", "/push", body=b"x").status for _ in range(2)] == [204, 204]
    (asked,) = proxy.seen
    assert asked.line == f"CONNECT {HOST}:443 HTTP/1.1"
    assert asked.headers == {
        "host": f"{HOST}:443", "proxy-authorization": f"Basic {SECRETS[2]}", "accept-encoding": "identity",
    }  # fmt: skip
    seen = server.seen[0]
    assert (seen.line, seen.headers["host"]) == ("POST /push HTTP/1.1", HOST)
    assert "proxy-authorization" not in seen.headers
    assert seen.headers["authorization"] == "Bearer hunter2"
    other = make(
        "https://other.example.org", environ=environ, tls=TlsOptions(ca_file=str(certificates.ca))
    )
    assert "does not hold" in fail(other).message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            build_answer(b"", "407 Proxy Authentication Required"),
            "(it answers 407): give its user and password in",
        ),
        (build_answer(b"", "403 Forbidden"), "opens no tunnel (it answers 403)"),
        (b"HTTP/1.1 20", "closed the connection in mid-answer"),
    ],
)
def test_a_proxy_that_opens_no_tunnel(
    start: StartServer, make: MakeClient, text: bytes, words: str
) -> None:
    """A proxy's refusal is told with its address, its variable and without its password."""
    proxy = start(answer(text, ends=True))
    environ = {"ALL_PROXY": f"http://me:s3cr3t@{proxy.address}"}
    error = fail(make(f"https://{HOST}", environ=environ))
    assert f"the proxy {proxy.address} (ALL_PROXY) to {HOST}:443 " in error.message
    assert words in error.message
    assert not error.may_have_arrived


def test_a_proxy_is_bounded_in_time(start: StartServer, make: MakeClient) -> None:
    """A proxy that trickles its answer to CONNECT takes no more than the time; nothing arrived."""
    proxy = start(trickle(b"HTTP/1.1 200 OK\r\nX: "))
    error = fail(make(f"https://{HOST}", environ={"ALL_PROXY": proxy.address}), timeout_s=SHORT_S)
    assert "did not finish its answer within 0.3 s" in error.message
    assert not error.may_have_arrived


def test_this_machine_is_never_reached_by_a_proxy(start: StartServer, make: MakeClient) -> None:
    """A proxy is not asked for what runs on this machine."""
    server = start(answer(NO_CONTENT))
    client = make(
        server, environ={"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}
    )
    assert client.request("GET", "/").status == 204


PROXY = {"HTTP_PROXY": "http://a", "HTTPS_PROXY": "http://b:1", "ALL_PROXY": "http://c:2"}


@pytest.mark.parametrize(
    ("scheme", "environ", "host_port"),
    [
        ("http", {}, None),
        ("http", PROXY, ("a", 80)),
        ("https", PROXY, ("b", 1)),
        ("http", {"ALL_PROXY": "http://c:2"}, ("c", 2)),
        ("http", {"HTTPS_PROXY": "http://b:1"}, None),
        ("http", {**PROXY, "http_proxy": "http://d:3"}, ("d", 3)),
        ("http", {**PROXY, "http_proxy": ""}, ("c", 2)),
        ("http", {"HTTP_PROXY": " ", "all_proxy": ""}, None),
        ("http", {"HTTP_PROXY": "[::1]:3128"}, ("::1", 3128)),
        ("http", {"HTTP_PROXY": "http://a", "REQUEST_METHOD": "GET"}, None),
        ("http", {"http_proxy": "http://a", "REQUEST_METHOD": "GET"}, ("a", 80)),
        ("https", {"HTTPS_PROXY": "http://a", "REQUEST_METHOD": "GET"}, ("a", 80)),
    ],
)
def test_which_proxy(
    scheme: str, environ: dict[str, str], host_port: tuple[str, int] | None
) -> None:
    """The scheme's own variable comes first, the lower-case spelling before the other; a CGI program does
    not trust what a client may have set."""
    proxy = find_proxy(scheme, HOST, 3100, environ)
    assert (proxy and (proxy.host, proxy.port)) == host_port


@pytest.mark.parametrize(
    ("host", "exceptions", "is_direct"),
    [
        (HOST, "", False), (HOST, "*", True), (HOST, "other,*", True), (HOST, HOST, True),
        (HOST, "x, example.org", True), (HOST, ".EXAMPLE.org", True), (HOST, "*.example.org", True),
        (HOST, "ample.org", False), (HOST, "oki.example.org", False), (HOST, f"{HOST}:3100", True),
        (HOST, f"{HOST}:3101", False), (f"{HOST}.", "example.org", True), (HOST, "a b example.org", True),
        (HOST, ".", False), (HOST, ",,", False), (HOST, "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True), ("10.1.2.3", "10.0.0.0/8", True), ("10.1.2.3", "10.0.0.0/16", False),
        ("10.1.2.3", "10.1.2.3:3100", True), ("10.1.2.3", "2.3", False), ("fd00::5", "fd00::/8", True),
        ("fd00::5", "[fd00:0::5]:3100", True), ("fd00::5", "[fd00::5]:1", False), ("fd00::5", "fd00::5", True),
        ("localhost", "", True), ("loki.localhost", "", True), ("localhost.", "", True), ("127.9.9.9", "", True),
        ("::1", "", True), ("::ffff:127.0.0.1", "", True), ("localhost.example.org", "", False),
        ("notlocalhost", "", False),
    ],
)  # fmt: skip
def test_which_hosts_need_no_proxy(host: str, exceptions: str, is_direct: bool) -> None:
    """NO_PROXY lists names with what is below them, addresses, networks and ports; this machine needs none."""
    found = find_proxy("http", host, 3100, {"HTTP_PROXY": "http://a", "no_proxy": exceptions})
    assert (found is None) == is_direct


@pytest.mark.parametrize(
    "value",
    ["socks5://me:s3cr3t@a:1080", "https://me:s3cr3t@a", "http://me:s3cr3t@", "http://me:s3cr3t@a:port",
     "http://me:s3cr3t/x@a", "http://me:s3cr3t@a b", f"http://me:s3cr3t@{'a' * 64}", "me:s3cr3t@[::1"],
)  # fmt: skip
def test_a_proxy_of_no_known_kind(make: MakeClient, value: str) -> None:
    """A proxy that cannot be used is a wrong setting that names the variable, and not the password."""
    with pytest.raises(SettingsError, match="ALL_PROXY") as caught:
        make(f"http://{HOST}", environ={"ALL_PROXY": value})
    assert "s3cr3t" not in caught.value.message + caught.value.hint
    assert caught.value.hint
    make(f"http://{HOST}", environ={"ALL_PROXY": value, "NO_PROXY": "example.org"})


def test_a_proxys_password_is_not_shown() -> None:
    """Percent-encoded credentials are decoded, and stay out of the `repr`."""
    proxy = find_proxy("http", HOST, 80, {"http_proxy": "http://m%40e:s3cr3t%2F@a"})
    assert isinstance(proxy, Proxy)
    assert proxy.authorization == "Basic " + base64.b64encode(b"m@e:s3cr3t/").decode()
    assert proxy.authorization not in repr(proxy)
