"""A Loki's address and credentials, and what its answers mean."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import replace

from aind_capsule.http.client import HttpAnswer, HttpClient, TlsOptions
from aind_capsule.settings.groups import LokiSettings
from aind_capsule.shipping.compress import compress
from aind_capsule.shipping.destination import Answer, Outcome

PUSH_PATH = "/loki/api/v1/push"
QUERY_PATH = "/loki/api/v1/query_range"
_STORED = 204
_MAX_WORDS = 600
_MAX_END = 300
#: As in redaction: what is shorter is in every other word.
_SHORTEST_SECRET = 4
_PUSH_HEADERS = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
#: What a refusal with 400 says of the time of a line.
_TOO_OLD = ("timestamp too old", "too old")
_TOO_NEW = ("timestamp too new", "too new")


class LokiServer:
    """A Loki that is spoken to over one connection.

    Args:
        client: Speaks HTTP.
        prefix: Path before `/loki/api/v1/…`.
        address: The server for people: no credentials.
        identity: Tells this server (and tenant) from others.
        secrets: What it is told, and must not say to others when it throws it back.

    Attributes:
        address: As given.
        identity: As given.
    """

    def __init__(
        self,
        client: HttpClient,
        prefix: str,
        address: str,
        identity: str,
        secrets: Iterable[str] = (),
    ) -> None:
        self.address = address
        self.identity = identity
        self._client = client
        self._prefix = prefix
        self._secrets = secrets

    @classmethod
    def from_settings(cls, settings: LokiSettings, environ: Mapping[str, str]) -> LokiServer:
        """The Loki of the settings.

        Raises:
            SettingsError: A certificate cannot be read.
        """
        assert settings.url is not None
        url = urllib.parse.urlsplit(settings.url)
        origin = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
        prefix = url.path.removesuffix("/").removesuffix(PUSH_PATH).removesuffix("/")
        headers = _build_headers(settings, url)
        client = HttpClient(
            origin,
            headers=headers,
            tls=TlsOptions(
                settings.verify, settings.ca_file, settings.client_cert, settings.client_key
            ),
            timeout_s=settings.timeout,
            environ=environ,
        )
        address = origin + prefix
        # Where a user is a tenant, another user is another server.
        tenant = {name.lower(): value for name, value in headers.items()}.get("x-scope-orgid", "")
        user = settings.user or urllib.parse.unquote(url.username or "")
        identity = f"{address}|{tenant}|{user}" if user else f"{address}|{tenant}"
        return cls(client, prefix, address, identity, _find_secrets(settings, url, headers))

    def push(self, body: bytes) -> Answer:
        """Push a body.

        Raises:
            HttpError: No whole answer came.
        """
        answer = self._client.request(
            "POST",
            self._prefix + PUSH_PATH,
            body=compress(body),
            headers=_PUSH_HEADERS,
            is_repeatable=True,  # Loki keeps one of two equal lines
        )
        text = answer.text
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return judge(replace(answer, body=text.encode()))

    def query(self, parameters: Mapping[str, str], max_answer_bytes: int) -> HttpAnswer:
        """Ask for lines.

        Raises:
            HttpError: No whole answer came, or it was too long.
        """
        path = f"{self._prefix}{QUERY_PATH}?{urllib.parse.urlencode(parameters)}"
        # Without this metadata come back as if they were labels.
        headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
        return self._client.request("GET", path, headers=headers, max_answer_bytes=max_answer_bytes)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def judge(answer: HttpAnswer) -> Answer:
    """What the answer to a push means.

    Only 204 is success: an operator who blocks ingestion has 260 or 200 answered, and nothing is
    stored. A 400 for one line leaves the others stored.
    """
    status, text = answer.status, " ".join(answer.text.split())
    if len(text) > _MAX_WORDS:  # the first fault, and the count at the end
        text = f"{text[: _MAX_WORDS - _MAX_END]} … {text[-_MAX_END:]}"
    words = f"{status} {text}".strip()
    if status == _STORED:
        return Answer(Outcome.DELIVERED)
    outcome = Outcome.STOP
    if status == 413 or (status == 500 and "larger than max" in text):
        outcome = Outcome.SMALLER
    elif status == 400 and "too far behind" not in text and any(m in text for m in _TOO_OLD):
        outcome = Outcome.OLD
    elif status == 400 and "too far behind" not in text and any(m in text for m in _TOO_NEW):
        outcome = Outcome.AHEAD
    elif 300 <= status < 400 and answer.location:
        words = f"{status}: it redirects to {answer.location}"
    elif status in (400, 422):
        outcome = Outcome.REFUSED
    elif 200 <= status < 300 or status in (408, 425, 429) or status >= 500:
        outcome = Outcome.LATER
        if status < 300:
            words = f"{words} (nothing is stored: is ingestion blocked?)"
    return Answer(
        outcome,
        words,
        is_broken=status >= 500,
        # Of a request that is refused or limited a part may be stored.
        may_have_arrived=outcome is not Outcome.STOP,
        retry_after_s=answer.retry_after_s,
    )


def _find_secrets(
    settings: LokiSettings, url: urllib.parse.SplitResult, headers: Mapping[str, str]
) -> list[str]:
    """What may not be shown, the longest first."""
    told = [url.password or "", urllib.parse.unquote(url.password or "")]
    told += [secret.reveal() for secret in (settings.password, settings.token) if secret]
    told += [secret.reveal() for secret in settings.headers.values()]
    told += headers.get("Authorization", "").split(" ")[1:]
    return sorted({text for text in told if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True)


def _build_headers(settings: LokiSettings, url: urllib.parse.SplitResult) -> dict[str, str]:
    """Tenant, authorization, and what else the settings give; theirs win."""
    headers: dict[str, str] = {}
    if settings.tenant is not None:
        headers["X-Scope-OrgID"] = settings.tenant
    user = settings.user or urllib.parse.unquote(url.username or "")
    password = settings.password.reveal() if settings.password is not None else ""
    if not password:
        password = urllib.parse.unquote(url.password or "")
    if settings.token is not None:
        headers["Authorization"] = f"Bearer {settings.token.reveal()}"
    elif user or password:
        pair = f"{user}:{password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    headers.update({name: value.reveal() for name, value in settings.headers.items()})
    return headers
