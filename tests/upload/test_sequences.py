"""Any sequence of edits, uploads, kills, faults, lost rights and other writers ends in the truth.

hypothesis looks for a sequence after which a manifest stands before wrong bytes, or something that
is another's was touched. `AIND_CAPSULE_TESTS_SEQUENCES` says how many sequences each server has.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.storage.proxy import CUT, CUT_ANSWER, CUT_BODY, RESET, FaultyProxy, Request, answer
from tests.storage.servers import Server, start
from tests.upload.bucket_model import NAMES, BucketModel, Endpoint
from tests.upload.computers import NOT_IN_MINIMUM, find_right
from tests.upload.forks import Ended, Forks

SEQUENCES = int(os.environ.get("AIND_CAPSULE_TESTS_SEQUENCES", "6"))
STEPS = 6
#: An object in parts has some, and is quick.
PART_BYTES = 64 * 1024
ENDPOINT = st.sampled_from((0, 0, 0, 1))
COMPUTER = st.sampled_from((0, 0, 0, 1))
SIZE = st.sampled_from((3, 3, 3, 0, PART_BYTES * 5 // 2))
CHANGE = st.sampled_from(
    (
        None,
        None,
        "write",
        "write",
        "remove",
        "empty",
        "replace",
        "foreign object",
        "foreign parts",
        "lifecycle",
    )
)
HOW = st.sampled_from(
    ((), (), (), ("--overwrite",), ("--overwrite",), ("--repair",), ("--overwrite-foreign",), ("--resume",), ("--resume",),
     ("--resume",), ("--resume", "--overwrite"), ("--drop",))
)  # fmt: skip
DENIED = st.sampled_from(
    (
        *[()] * 6,
        NOT_IN_MINIMUM,
        *((right,) for right in NOT_IN_MINIMUM),
    )
)
FAULT = st.sampled_from(
    (*[None] * 4, "kill before", "kill before", "kill after", "kill after", CUT, CUT_BODY, CUT_ANSWER, RESET, "500", "503 for ever",
     "403", "403 for ever", "outage", "other computer", "edit", "foreign object", "lifecycle")
)  # fmt: skip


class Sequences(RuleBasedStateMachine):
    """One asset, two computers, two endpoints."""

    endpoints: list[Endpoint]
    bucket: str
    forks: list[Forks]

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="sequences-"))
        self.model = BucketModel(self.endpoints, self.bucket, self.root, self.forks)
        for computer in self.model.computers:
            for name in NAMES[:3]:
                computer.write(name, name.encode())
        self.count = 0

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.root)

    @rule(
        computer=COMPUTER, endpoint=ENDPOINT, change=CHANGE, name=st.sampled_from(NAMES), size=SIZE,
        how=HOW, denied=DENIED, fault=FAULT, point=st.integers(1, 16),
    )  # fmt: skip
    def step(
        self, computer: int, endpoint: int, change: str | None, name: str, size: int,
        how: tuple[str, ...], denied: tuple[str, ...], fault: str | None, point: int,
    ) -> None:  # fmt: skip
        """Change something, then upload, and have something happen at a request of that."""
        self.change(change, computer, endpoint, name, size)
        self.model.story.append(f"next: endpoint {endpoint}, {denied=}, {fault=} at {point}")
        happening = Happening(self, computer, endpoint, denied, fault, point)
        with happening:
            ended = self.upload(computer, endpoint, how)
        assert "Traceback" not in ended.output, "\n".join(self.model.story)
        is_whole = ended.status == 0 and '"committed": true' in ended.output
        self.model.check(is_mixed=happening.is_mixed and not is_whole)
        if is_whole and not happening.is_mixed:
            self.model.check_is_local(computer, endpoint)

    def change(
        self, change: str | None, computer: int, endpoint: int, name: str, size: int
    ) -> None:
        """Change one thing: in a computer's folder, or at an endpoint."""
        model = self.model
        mine = model.computers[computer]
        if change is not None:
            model.story.append(
                f"computer {computer}, endpoint {endpoint}: {change} {name}, {size} bytes"
            )
        if change == "write":
            mine.write(name, self.make_data(size))
        elif change == "remove":
            mine.remove(name)
        elif change in ("empty", "replace"):
            mine.empty() if change == "empty" else mine.replace()
            mine.write(name, self.make_data(size))
        elif change == "foreign object":
            model.put_foreign(endpoint, name, b"for" + self.make_data(3))
        elif change == "foreign parts":
            model.begin_foreign(endpoint, name)
        elif change == "lifecycle":
            model.abort_ours(endpoint)

    def upload(self, computer: int, endpoint: int, how: tuple[str, ...]) -> Ended:
        """Upload, as the words say."""
        model = self.model
        folder = str(model.computers[computer].folder)
        if "--resume" in how or "--drop" in how:
            return model.run(computer, endpoint, *how, folder)
        place = f"s3://{model.bucket}/{model.prefix}"
        ended = model.run(computer, endpoint, folder, place, "--asset-name", "name", *how)
        if "--overwrite-foreign" in how:  # it is ours now, because somebody said so
            for name in model.computers[computer].files:
                model.foreign.pop((endpoint, name), None)
        return ended

    def make_data(self, size: int) -> bytes:
        """Bytes that nothing else has."""
        self.count += 1
        return (f"{self.count:03d}".encode() * (size // 3 + 1))[:size]


class Happening:
    """What happens while a command runs."""

    def __init__(
        self, machine: Sequences, computer: int, endpoint: int, denied: tuple[str, ...], fault: str | None, point: int
    ) -> None:  # fmt: skip
        self._machine = machine
        self._computer = computer
        self._endpoint = endpoint
        self._proxy: FaultyProxy = machine.endpoints[endpoint].proxy
        self._denied = denied
        self._fault = fault
        self._point = point
        self._seen = 0
        #: Whether something else wrote meanwhile.
        self.is_mixed = False
        self._is_busy = False

    def __enter__(self) -> None:
        self._proxy.decide = self.decide
        self._proxy.after = self.after

    def __exit__(self, *_: object) -> None:
        self._proxy.decide = lambda request: None
        self._proxy.after = lambda request: None

    def decide(self, request: Request) -> tuple[int, bytes] | str | None:
        """What is done instead of passing a request on."""
        if self._is_busy:  # of the other computer, meanwhile
            return None
        self._seen += 1
        is_now, is_later = self._seen == self._point, self._seen >= self._point
        fault, machine = self._fault, self._machine
        if (refusal := self.refuse(request)) is not None:
            return refusal
        if (is_now and fault == "403") or (is_later and fault == "403 for ever"):
            return answer(403, "AccessDenied")
        if is_now and fault == "500":
            return answer(500, "InternalError")
        if is_later and fault == "503 for ever":
            return answer(503, "SlowDown")
        if is_later and fault == "outage":
            return CUT
        if not is_now:
            return None
        if fault in (CUT, CUT_BODY, CUT_ANSWER, RESET):
            return fault
        if fault == "kill before":
            machine.model.computers[self._computer].forks.kill()
            return CUT
        if fault == "edit":
            self.is_mixed = True
            machine.change("write", self._computer, self._endpoint, "a.txt", 3)
        elif fault == "foreign object":
            self.is_mixed = True
            machine.change("foreign object", self._computer, self._endpoint, "raw.bin", 3)
        elif fault == "lifecycle":
            machine.change("lifecycle", self._computer, self._endpoint, "", 0)
        elif fault == "other computer":
            self.is_mixed = True
            self._is_busy = True
            other = 1 - self._computer
            model = machine.model
            place = f"s3://{model.bucket}/{model.prefix}"
            model.run(
                other,
                self._endpoint,
                str(model.computers[other].folder),
                place,
                "--asset-name",
                "name",
                "--overwrite",
            )
            self._is_busy = False
        return None

    def after(self, request: Request) -> None:
        """The server has answered: the answer may find nobody."""
        if self._fault == "kill after" and self._seen == self._point and not self._is_busy:
            self._machine.model.computers[self._computer].forks.kill()

    def refuse(self, request: Request) -> tuple[int, bytes] | None:
        """What S3 answers without a right; without that to list, what is not there is refused too."""
        right = find_right(request)
        if right in self._denied:
            return answer(403, "AccessDenied")
        if right == "GetObject" and "ListBucket" in self._denied:
            client = self._machine.endpoints[self._endpoint].client
            key = unquote(urlsplit(request.path).path).partition(f"/{self._machine.bucket}/")[2]
            try:
                client.head_object(Bucket=self._machine.bucket, Key=key)
            except client.exceptions.ClientError:
                return answer(403, "AccessDenied")
        return None


@pytest.mark.parametrize(
    ("kind", "sequences"), [("moto", SEQUENCES), pytest.param("seaweedfs", 4 * SEQUENCES, marks=pytest.mark.slow)]
)  # fmt: skip
def test_any_sequence_ends_in_the_truth(
    kind: str, sequences: int, servers: Callable[[str], Server], tmp_path: Path
) -> None:
    """No manifest stands before wrong bytes, exit status 0 means just the local bytes, and foreign objects stay."""
    urls = os.environ.get("S3_ENDPOINT_URLS", "").split()
    with contextlib.ExitStack() as stack:
        running = [Server("given", url) for url in urls] or [servers(kind), start(kind, tmp_path)]
        for server in running[1:]:
            stack.callback(server.stop)
        bucket = running[0].make_bucket()
        endpoints = []
        for server in running:
            client = server.make_client()
            if server is not running[0]:
                client.create_bucket(Bucket=bucket)
            proxy = FaultyProxy(server.url)
            stack.callback(proxy.stop)
            endpoints.append(Endpoint(server, proxy, client))
        forks = []
        for number in range(2):
            folder = tmp_path / f"forks{number}"
            folder.mkdir()
            forks.append(Forks(folder, PART_BYTES))
            stack.callback(forks[-1].stop)
        Sequences.endpoints, Sequences.bucket, Sequences.forks = endpoints, bucket, forks
        limits = settings(
            max_examples=sequences, stateful_step_count=STEPS, deadline=None,
            suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate),
        )  # fmt: skip
        run_state_machine_as_test(Sequences, settings=limits)
