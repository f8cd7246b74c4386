"""Requests to a bucket, signed and sent once by the HTTP layer; an answer, or what it means.

What one further try can put right is put right here, at once: credentials that have expired, a
clock that differs from the server's, a bucket in another region.
"""

from __future__ import annotations

import collections
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from aind_capsule.errors import SettingsError
from aind_capsule.settings.s3_groups import S3Settings
from aind_capsule.storage.answers import Answer, Node, NoXmlError, parse_body, read_error
from aind_capsule.storage.concurrency import ConcurrencyLimit
from aind_capsule.storage.connect import Connection, build_payer_headers, find_region
from aind_capsule.storage.errors import (
    CREDENTIAL_CODES,
    HINT_SILENT,
    RefusedError,
    SilentError,
    StorageError,
    explain,
)
from aind_capsule.storage.signing import EMPTY_SHA256, Credentials, Signer, quote_key

if TYPE_CHECKING:
    from aind_capsule.http.client import HttpClient, HttpError

Take = Callable[[bytes], object]
NoteHead = Callable[[int, Mapping[str, str]], object]
#: A listing's page has up to 1,000 keys of 1,024 bytes, of which each may be encoded by three.
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
#: A body gets as much time as it takes on a link that is shared by many.
_SLOWEST_BYTES_PER_S = 16 * 1024
#: S3 refuses requests whose time differs by more than 15 minutes.
_SKEW_S = 60.0
_HINT_TLS = "Name its authorities by s3.verify or AWS_CA_BUNDLE."
#: How OpenSSL names an answer in plain text.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_HINT_PROXY = "Give the proxy's user and password in HTTP_PROXY or HTTPS_PROXY."


class Request(NamedTuple):
    """A request to a bucket.

    Attributes:
        what: What it does, for messages, such as `Writing s3://bucket/key`.
        method: The HTTP method.
        key: The object's key; empty for the bucket itself.
        query: The query as it is sent.
        headers: Headers beside those of the signature; names in lower case.
        body: The body.
        sha256: The body's SHA-256 in hex, or what stands for it.
        permission: What the credentials need, such as `s3:PutObject`.
        roots: What the name of the root of the answer's XML begins with; empty where it has none.
        is_repeatable: Whether it may be sent again at once where a kept connection was lost; None
            for what its method says.
        timeout_s: How long it may take, beside what its body takes on a slow link.
    """

    what: str
    method: str
    key: str = ""
    query: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    sha256: str = EMPTY_SHA256
    permission: str = "s3:PutObject"
    roots: tuple[str, ...] = ()
    is_repeatable: bool | None = None
    timeout_s: float = 60.0

    def with_query(self, query: str) -> Request:
        """Return the same request with a query."""
        return self._replace(query=query)


class _Server:
    """Where requests go now: the address, its signatures, connections that are not in use."""

    def __init__(self, connection: Connection, make_client: Callable[[], HttpClient]) -> None:
        self.origin = connection.origin
        self.path = connection.path
        self.signer = Signer(connection.origin.partition("://")[2], connection.region)
        self._make_client = make_client
        self._idle: collections.deque[HttpClient] = collections.deque()
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def take_client(self) -> HttpClient:
        """Return a client that nobody uses, the one that was used last."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._make_client()

    def give_back(self, client: HttpClient) -> None:
        """Take a client that is not used any more."""
        self._idle.append(client)


class SignedRequests:
    """Sends requests to a bucket; may be used by many threads.

    Args:
        connection: Where to, and as whom.
        settings: How many at the same time, and who pays.
    """

    def __init__(self, connection: Connection, settings: S3Settings) -> None:
        self._connection = connection
        self._limit = ConcurrencyLimit(settings.max_concurrency)
        self._payer = build_payer_headers(settings)
        self._lock = threading.Lock()
        self._server = self._find_server()

    @property
    def origin(self) -> str:
        """The bucket's address: scheme, host, port and path."""
        server: _Server = self._server
        return f"{server.origin}{server.path}"

    @property
    def is_https(self) -> bool:
        """Whether TLS protects what is sent."""
        return self._connection.origin.startswith("https:")

    def send(self, request: Request) -> Answer:
        """Send a request and return the answer to it, which is 2xx.

        Raises:
            StorageError: There is none.
        """
        return self._send(request, None)

    def ask(self, request: Request) -> Node:
        """Send a request and return the XML of its answer.

        Raises:
            StorageError: There is none.
        """
        answer = self._send(request, None)
        try:
            return parse_body(answer.body, *request.roots)
        except NoXmlError as error:
            if error.is_cut:
                text = f"{request.what} failed: the answer ends too early"
                raise SilentError(text, hint=HINT_SILENT) from error
            self._refuse_server(request, answer)

    def stream(self, request: Request, take: Take, note_head: NoteHead) -> Answer:
        """Send a request and have the body of its answer taken piece by piece.

        Args:
            request: The request.
            take: Takes the pieces.
            note_head: Called before them with the answer's status and headers.

        Raises:
            StorageError: There is no answer, or not all of it; some pieces may have been taken.
        """
        return self._send(request, (take, note_head))

    def find_region(self) -> None:
        """Ask where the bucket is, once; without an answer what is set holds until one says so."""
        request = Request("Finding the bucket's region", "HEAD", timeout_s=10.0)
        try:
            answer = self._exchange(self._server, self._connection.credentials.get(), request, None)
        except SilentError:
            return
        region = find_region(answer.headers)
        if region:
            self._move(region)

    def _send(self, request: Request, body: tuple[Take, NoteHead] | None) -> Answer:
        tried: set[str] = set()
        while True:
            server, credentials = self._server, self._connection.credentials.get()
            with self._limit:
                answer = self._exchange(server, credentials, request, body)
            # What takes long has status 200 before it is known how it ends.
            is_error = answer.status >= 300 or (request.roots and b"<Error" in answer.body[:300])
            if not is_error:
                self._limit.grow()
                if body is None and answer.is_html:
                    self._refuse_server(request, answer)
                return answer
            said = read_error(answer.body)
            region = find_region(answer.headers) or said.region
            if said.code in CREDENTIAL_CODES:
                cure = "credentials"
            elif said.code == "RequestTimeTooSkewed":
                cure = "clock"
            elif region and region != self._connection.region:
                cure = "region"
            else:
                cure = ""
            if cure and cure not in tried:
                tried.add(cure)
                if cure == "credentials" and self._renew(request, credentials, answer, said.code):
                    continue
                if cure == "clock" and _set_clock(server.signer, answer):
                    continue
                if cure == "region" and self._move(region):
                    continue
            self._raise(request, answer, said.code, said.message)

    def _renew(self, request: Request, refused: Credentials, answer: Answer, code: str) -> bool:
        try:
            return self._connection.credentials.renew(refused)
        except StorageError as error:
            text = f"{request.what} failed: {code}, and other {error.message}"
            raise RefusedError(text, hint=error.hint, code=code, status=answer.status) from error

    def _raise(self, request: Request, answer: Answer, code: str, message: str) -> NoReturn:
        if answer.status == 407:
            text = f"{request.what} failed: the proxy asks for a password (407)"
            raise RefusedError(text, hint=_HINT_PROXY, status=407)
        error = explain(request.what, answer.status, code, message, request.permission)
        if isinstance(error, SilentError):
            error.retry_after_s = answer.retry_after_s
            if error.is_throttled:
                self._limit.halve()
        elif answer.is_html:
            self._refuse_server(request, answer)
        raise error

    def _refuse_server(self, request: Request, answer: Answer) -> NoReturn:
        kind = "a web page" if answer.is_html else "not S3's XML"
        raise RefusedError(
            f"{request.what} failed: no S3 server answers at {self.origin}"
            f" (its answer, with status {answer.status}, is {kind})",
            hint="Correct s3.endpoint_url.",
            status=answer.status,
        )

    def _exchange(
        self,
        server: _Server,
        credentials: Credentials,
        request: Request,
        body: tuple[Take, NoteHead] | None,
    ) -> Answer:
        """Send a request once.

        Raises:
            SilentError: There is no answer.
            RefusedError: The server's certificate is not trusted, or there is no way to it.
        """
        from aind_capsule.http.client import HttpError

        key, query = request.key, request.query
        path = f"{server.path}/{quote_key(key)}" if key else server.path or "/"
        headers: Mapping[str, str] = request.headers
        if self._payer:
            headers = {**headers, **self._payer}
        signed = server.signer.sign(
            credentials, request.method, path, query, headers, request.sha256
        )
        target = f"{path}?{query}" if query else path
        client = server.take_client()
        try:
            if body is not None:
                take, note_head = body
                answer = client.stream(
                    request.method, target, headers=signed, take=take, note_head=note_head
                )
            else:
                answer = client.request(
                    request.method,
                    target,
                    body=request.body,
                    headers=signed,
                    timeout_s=request.timeout_s + len(request.body) / _SLOWEST_BYTES_PER_S,
                    max_answer_bytes=_MAX_ANSWER_BYTES,
                    is_repeatable=request.is_repeatable,
                )
        except HttpError as error:
            raise _explain(request.what, error) from error
        finally:
            server.give_back(client)
        return Answer(answer.status, answer.headers, answer.body, answer.retry_after_s)

    def _find_server(self) -> _Server:
        from aind_capsule.http.client import HttpClient
        from aind_capsule.http.tls import TlsOptions, build_tls_context

        connection = self._connection
        origin, context = connection.origin, None
        try:
            if origin.startswith("https:"):
                context = build_tls_context(TlsOptions(connection.verify, connection.ca_file))
            first = HttpClient(origin, tls=context)
        except SettingsError as error:
            raise RefusedError(error.message, hint=error.hint) from error

        def make_client() -> HttpClient:
            return HttpClient(origin, tls=context)

        server = _Server(connection, make_client)
        server.give_back(first)
        return server

    def _move(self, region: str) -> bool:
        with self._lock:
            if region == self._connection.region:
                return True
            self._connection.move(region)
            self._server = self._find_server()
        return True


def _explain(what: str, error: HttpError) -> SilentError | RefusedError:
    """Return what it means that there is no answer."""
    import ssl

    from aind_capsule.http.tls import is_certificate_refused

    text, cause = f"{what} failed: {error.message}", error.__cause__
    if isinstance(cause, ssl.SSLError):
        if isinstance(cause, ssl.SSLCertVerificationError) or is_certificate_refused(cause):
            return RefusedError(text, hint=_HINT_TLS)
        if cause.reason in _NO_TLS:
            return RefusedError(text, hint="Correct s3.endpoint_url.")
    if error.proxy_status // 100 == 4 and error.proxy_status not in (408, 429):
        return RefusedError(text, hint=_HINT_PROXY, status=error.proxy_status)
    silent = SilentError(text, hint=HINT_SILENT)
    silent.may_have_arrived = error.may_have_arrived
    return silent


def _set_clock(signer: Signer, answer: Answer) -> bool:
    """Take the answer's time as the server's; return whether it differs from what was signed."""
    import email.utils

    try:
        date = email.utils.parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return False
    offset_s = date.timestamp() - time.time()
    if abs(offset_s - signer.clock_offset_s) < _SKEW_S:
        return False
    signer.clock_offset_s = offset_s
    return True


def _close_all(clients: collections.deque[Any]) -> None:
    while clients:
        clients.pop().close()
