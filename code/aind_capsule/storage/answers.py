"""Answers of S3 servers: status, headers, and the XML of their bodies.

The S3 API reference. Names have the namespace of 2006, or none: both are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

_HTML = (b"<!doctype html", b"<html")


class NoXmlError(Exception):
    """The body is not the XML that an S3 server answers with.

    Attributes:
        is_cut: Whether it may be the beginning of such XML.
    """

    def __init__(self, *, is_cut: bool) -> None:
        super().__init__("not the XML of an S3 server")
        self.is_cut = is_cut


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer.

    Attributes:
        status: Its HTTP status.
        headers: By their names in lower case.
        body: Its bytes; empty where they were read as they came.
        retry_after_s: How long the server asks to be left alone, seconds.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    retry_after_s: float | None = None

    @property
    def etag(self) -> str:
        """The ETag, without its quotes."""
        return strip_quotes(self.headers.get("etag"))

    @property
    def is_html(self) -> bool:
        """Whether the body is a web page: a proxy or a web server has answered, no S3 server."""
        return _is_html(self.body.lstrip())


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error's body says.

    Attributes:
        code: S3's code; empty where it has none.
        message: The server's message.
        region: The bucket's region, where it is another.
    """

    code: str = ""
    message: str = ""
    region: str = ""


class Node:
    """An element of an answer's XML, whose children are found by their names."""

    __slots__ = ("_element", "_space")

    def __init__(self, element: ET.Element, space: str) -> None:
        self._element = element
        self._space = space

    def get(self, name: str) -> str:
        """Return a child's text, or an empty one."""
        return self._element.findtext(self._space + name) or ""

    def find_all(self, name: str) -> Iterator[Node]:
        """Yield children of a name."""
        return (Node(child, self._space) for child in self._element.iterfind(self._space + name))


def parse_body(body: bytes, *names: str) -> Node:
    """Parse an answer's XML.

    Args:
        body: The answer's body.
        names: What the root element's name begins with: its end differs between servers
            (`ListPartsResult`, `ListPartsOutput`).

    Raises:
        NoXmlError: It is no such answer.

    >>> parse_body(b" <?xml version='1.0'?><A xmlns='http://s3'><B>x</B></A>", "A").get("B")
    'x'
    """
    # Before a slow answer a server sends white space, so that the connection is kept.
    body = body.strip()
    try:
        root = ET.fromstring(body)
    except (ET.ParseError, ValueError, LookupError) as error:  # or its encoding
        raise NoXmlError(is_cut=body.startswith(b"<") and not _is_html(body)) from error
    space, _, local = root.tag.rpartition("}")
    if not local.startswith(names):
        raise NoXmlError(is_cut=False)
    return Node(root, f"{space}}}" if space else "")


def read_error(body: bytes) -> ErrorBody:
    """Read an error's body, which may be empty or anything.

    >>> read_error(b"<Error><Code>NoSuchKey</Code></Error>")
    ErrorBody(code='NoSuchKey', message='', region='')
    """
    try:
        root = parse_body(body, "Error")
    except NoXmlError:
        return ErrorBody()
    return ErrorBody(root.get("Code"), root.get("Message"), root.get("Region"))


def choose_decoder(page: Node) -> Callable[[str], str]:
    """Return what makes keys of a listing's page: encoded ones hold any character."""
    return unquote_plus if page.get("EncodingType") == "url" else str


def strip_quotes(etag: str | None) -> str:
    """Return an ETag without its quotes, which not every server writes.

    >>> strip_quotes('"9f86d0"'), strip_quotes(None)
    ('9f86d0', '')
    """
    return (etag or "").strip().removeprefix("W/").strip('"')


def _is_html(body: bytes) -> bool:
    return body[:14].lower().startswith(_HTML)
