"""The double refuses and takes what a real Loki was seen to refuse and take."""

from __future__ import annotations

import gzip
import http.client
import json
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.shipping.loki_double import NS_PER_S, LokiDouble, make_basic

LABELS = {"service_name": "qc", "process_name": "qc"}
Answer = tuple[int, str]


def stamp(ago_s: float = 0.0) -> str:
    """A time so long ago, as the API wants it."""
    return str(int((time.time() - ago_s) * NS_PER_S))


class Client:
    """Pushes to a double, and asks it."""

    def __init__(self, double: LokiDouble) -> None:
        self.double = double

    def send(self, body: Any, **headers: str) -> Answer:
        """Push a body; returns status and text."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        names = {
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.double.port, timeout=10)
        ) as connection:
            connection.request("POST", "/loki/api/v1/push", data, names)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def push(self, *values: list[Any], labels: dict[str, str] | None = None) -> Answer:
        """Push lines into one stream."""
        return self.send(
            {"streams": [{"stream": LABELS if labels is None else labels, "values": list(values)}]}
        )

    def query(self, query: str, **parameters: object) -> Any:
        """Ask for lines."""
        words = urllib.parse.urlencode({"query": query, **parameters})
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.double.port, timeout=10)
        ) as connection:
            connection.request(
                "GET",
                f"/loki/api/v1/query_range?{words}",
                headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"},
            )
            response = connection.getresponse()
            text = response.read().decode()
        return json.loads(text) if response.status == 200 else (response.status, text)

    @property
    def lines(self) -> list[str]:
        """What is stored."""
        return [entry.line for entry in self.double.entries]


@pytest.fixture
def double() -> Iterator[LokiDouble]:
    """A double of its own."""
    double = LokiDouble()
    yield double
    double.stop()


@pytest.fixture
def client(double: LokiDouble) -> Client:
    """A client of the double."""
    return Client(double)


def test_a_good_push_is_read_back(client: Client) -> None:
    """204; the line is found by label and by metadata, which are told apart from labels."""
    assert client.push([stamp(), "hello", {"level": "ERROR", "run_id": "r", "gone": ""}]) == (
        204,
        "",
    )
    for query in ('{process_name="qc"}', '{process_name="qc"} | level="ERROR"'):
        (stream,) = client.query(query)["data"]["result"]
        assert stream["stream"] == LABELS
        assert stream["values"][0][1:] == [
            "hello",
            {"structuredMetadata": {"level": "ERROR", "run_id": "r"}},
        ]
    assert client.query('{process_name="qc"} | level="INFO"')["data"]["result"] == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda: [stamp(), "x" * 262_145], "max entry size"),
        (lambda: [stamp(8 * 86_400), "old"], "timestamp too old"),
        (lambda: [stamp(-700), "new"], "timestamp too new"),
        (lambda: [stamp(61 * 60), "behind"], "entry too far behind"),
    ],
)
def test_a_refused_line_among_good_ones(
    client: Client, bad: Callable[[], list[Any]], reason: str
) -> None:
    """400 with the reason, and the good lines are stored."""
    status, text = client.push([stamp(1), "first"], bad(), [stamp(), "last"])
    assert (status, reason in text) == (400, True)
    assert client.lines == ["first", "last"]


def test_what_is_just_in_bounds(client: Client) -> None:
    """A line of 262,144 bytes, 59 minutes behind, 15 labels, an empty label's value."""
    labels = {f"l{n}": "v" for n in range(15)}
    assert client.push([stamp(), "x" * 262_144])[0] == 204
    assert client.push([stamp(59 * 60), "late"])[0] == 204
    assert client.push([stamp(), "y"], labels=labels)[0] == 204
    assert client.push([stamp(), "y"], labels={**labels, "l15": "v"})[0] == 400
    assert client.push([stamp(), "y"], labels={**labels, "l15": ""})[0] == 204
    assert client.lines[0] == "late"


@pytest.mark.parametrize("name", ["a-b", "a.b", "a:b", "a b", "é", "1a", ""])
def test_illegal_label_names(client: Client, name: str) -> None:
    """400 `couldn't parse labels`; nothing is stored."""
    status, text = client.push([stamp(), "x"], labels={name: "v"})
    assert (status, "couldn't parse labels" in text, client.lines) == (400, True, [])


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ([5, "x"], 400), (["2026-01-01T00:00:00Z", "x"], 400), (["1.5", "x"], 400), (["", "x"], 400),
        ([stamp(), "x", {"k": 5}], 400), ([stamp(), "x", {"": "v"}], 500), ([stamp(), "\ud800"], 400),
    ],
)  # fmt: skip
def test_values_that_spoil_the_whole_request(client: Client, value: list[Any], status: int) -> None:
    """Nothing of the request is stored."""
    assert client.push([stamp(), "good"], value)[0] == status
    assert client.lines == []


def test_names_of_metadata_are_made_legal(client: Client) -> None:
    """Dots, leading digits and names of labels are renamed."""
    assert client.push([stamp(), "x", {"a.b": "1", "1x": "2", "process_name": "3"}])[0] == 204
    assert dict(client.double.entries[0].metadata) == {
        "a_b": "1",
        "key_1x": "2",
        "process_name_extracted": "3",
    }


def test_encodings(client: Client) -> None:
    """gzip, also of several members, and raw deflate are taken; zlib's deflate, identity and zstd are refused."""
    body = json.dumps({"streams": [{"stream": LABELS, "values": [[stamp(), "x"]]}]}).encode()
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    assert client.send(gzip.compress(body), Content_Encoding="gzip")[0] == 204
    assert (
        client.send(gzip.compress(body[:9]) + gzip.compress(body[9:]), Content_Encoding="gzip")[0]
        == 204
    )
    assert client.send(raw.compress(body) + raw.flush(), Content_Encoding="deflate")[0] == 204
    assert client.send(zlib.compress(body), Content_Encoding="deflate")[0] == 400
    assert client.send(body, Content_Encoding="identity")[0] == 400
    assert client.send(body, Content_Encoding="zstd")[0] == 400
    assert client.send(body, Content_Type="")[0] == 400
    assert client.lines == ["x"]


def test_empty_requests(client: Client) -> None:
    """No streams: 422."""
    assert client.send({"streams": []})[0] == 422
    assert client.send({})[0] == 422


@pytest.mark.parametrize(("size_mb", "status"), [(3.5, 204), (4.5, 500), (6.5, 429)])
def test_large_requests(client: Client, size_mb: float, status: int) -> None:
    """Up to 4 MiB are taken; what is larger gets 500, then 429, and again with every retry."""
    count = int(size_mb * 10)
    values = [[str(int(stamp()) + n), "x" * 100_000] for n in range(count)]
    for _ in range(2):
        assert client.push(*values)[0] == status
    assert len(client.lines) == (count if status == 204 else 0)


def test_equal_lines_are_stored_once(client: Client) -> None:
    """Same stream, time, line and metadata: once, within a request and across requests; other metadata: twice."""
    now = stamp()
    assert client.push([now, "x", {"a": "1"}], [now, "x", {"a": "1"}])[0] == 204
    assert client.push([now, "x", {"a": "1"}], [now, "x", {"a": "2"}])[0] == 204
    assert len(client.lines) == 2


def test_two_streams_in_one_request(client: Client) -> None:
    """The first bad, the last good: 204, and the bad one is lost."""
    bad = {"stream": {"a": "b"}, "values": [[stamp(8 * 86_400), "old"]]}
    good = {"stream": LABELS, "values": [[stamp(), "good"]]}
    assert client.send({"streams": [bad, good]})[0] == 204
    assert client.lines == ["good"]


def test_a_divided_stream(client: Client) -> None:
    """Each shard has a newest line of its own; the last one's fate is the answer; `label=""` is none."""
    client.double.limits.shards = 2
    assert client.push([stamp(), "new"])[0] == 204  # into the first shard
    assert client.push([stamp(5400), "lost"], [stamp(5400), "kept"])[0] == 204
    assert client.lines == ["kept", "new"]
    assert client.push([stamp(), "a"], [stamp(), "b"])[0] == 204
    status, text = client.push([stamp(5400), "c"], [stamp(5400), "d"])
    assert (status, "too far behind" in text) == (400, True)
    assert len(client.double.find('{process_name="qc", backfill=""}')) == 4


def test_what_is_old_is_not_shown(client: Client) -> None:
    """Lines of more than three hours ago are stored, and not seen before they are flushed."""
    assert client.push([stamp(5 * 3600), "old"])[0] == 204
    assert client.query('{process_name="qc"}')["data"]["result"] == []
    client.double.limits.unseen_s = 10**9
    assert len(client.query('{process_name="qc"}')["data"]["result"]) == 1


def test_access() -> None:
    """A tenant and an authorization that are asked for and missing: 401."""
    double = LokiDouble(tenant=True, authorization=make_basic("me", "pw"))
    client = Client(double)
    body = {"streams": [{"stream": LABELS, "values": [[stamp(), "x"]]}]}
    try:
        assert client.send(body)[0] == 401
        assert client.send(body, Authorization=make_basic("me", "pw")) == (401, "no org id\n")
        assert client.send(body, Authorization=make_basic("me", "pw"), X_Scope_OrgID="t")[0] == 204
    finally:
        double.stop()


def test_what_goes_wrong_on_demand(client: Client) -> None:
    """Answers of a test's choice store nothing; a dropped answer comes after the lines were stored; queries may be refused."""
    client.double.trouble.answer = lambda request: (
        (260, "") if len(client.double.requests) < 3 else None
    )
    assert [client.push([stamp(), "x"])[0] for _ in range(3)] == [260, 260, 204]
    client.double.trouble.drops = True
    with pytest.raises((http.client.HTTPException, OSError)):
        client.push([stamp(), "y"])
    client.double.trouble.drops = False
    assert client.lines == ["x", "y"]
    client.double.trouble.reads = False
    assert client.query('{process_name="qc"}')[0] == 403


def test_it_comes_back_on_its_port(double: LokiDouble) -> None:
    """A double that is stopped refuses connections; another takes its port."""
    double.stop()
    with pytest.raises(OSError):
        Client(double).push([stamp(), "x"])
    again = LokiDouble(double.port)
    try:
        assert Client(again).push([stamp(), "x"])[0] == 204
    finally:
        again.stop()
