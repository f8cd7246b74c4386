"""Two computers that upload other folders to one asset: it is one of the two, and nobody says else."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.storage.proxy import Request
from tests.upload.computers import (
    Computer,
    first_of,
    is_begin,
    is_complete,
    is_list,
    is_part,
    is_put_of,
    knows_conditions,
    nth,
    refuse,
)
from tests.upload.forks import Ended

_MANIFEST = is_put_of("manifest.json")
#: Requests at which something happens. Some are counted, so each test makes its own.
_AT: dict[str, Callable[[], Callable[[Request], bool]]] = {
    "the claim": lambda: is_put_of(".claim"),
    "begin": lambda: is_begin,
    "a file": lambda: is_put_of("d/b"),
    "a part": lambda: is_part(2),
    "Complete": lambda: is_complete,
    "the last list": lambda: nth(3, is_list),
    "the manifest": lambda: _MANIFEST,
}


def _check_one(computer: Computer, second: Computer, status: int, second_status: int) -> None:
    """Check that the asset is the folder of one whose command has ended well."""
    if status == 0:
        computer.check_whole(has_parts=True)
    elif second_status == 0:
        second.check_whole(has_parts=True)
    else:
        computer.check_manifest()


@pytest.mark.parametrize(
    "option", first_of([(), ("--overwrite",), ("--overwrite-foreign",), ("--repair",)])
)
@pytest.mark.parametrize("at", first_of(list(_AT)))
def test_the_second_while_the_first_runs(
    computer: Computer, second: Computer, at: str, option: tuple[str, ...]
) -> None:
    """The first waits before a request, the second runs to its end, the first goes on: at most one
    of them ends well, and the asset is its folder."""
    is_it = _AT[at]()
    ended = []

    def before(request: Request) -> None:
        if not ended and is_it(request):
            ended.append(None)
            ended[:] = [second.upload(*option)]

    computer.proxy.before = before
    first = computer.upload()
    (other,) = ended
    assert other is not None
    assert sorted((first.status, other.status)) in ([0, 74], [74, 74])
    _check_one(computer, second, first.status, other.status)
    if option == ("--overwrite-foreign",):
        assert other.status == 0, other.output
    computer.heal()
    assert computer.upload("--overwrite-foreign").status == 0
    computer.check_whole(has_parts=True)


@pytest.mark.parametrize("at", first_of(["a file", "Complete", "the manifest"]))
def test_claims_of_two_that_overwrite_cross(computer: Computer, second: Computer, at: str) -> None:
    """A claim that another upload has replaced since it was read is not replaced again: the other
    would go on to write below it. Servers that know no such condition may let both go on."""
    assert second.upload().status == 0
    second.write_some(b"3")
    is_it = _AT[at]()
    is_there, may_go_on = threading.Event(), threading.Event()
    ended: list[Ended] = []
    other = threading.Thread(target=lambda: ended.append(second.upload("--overwrite")))

    def before(request: Request) -> None:
        if is_put_of(".claim")(request) and not other.ident:
            other.start()
            assert is_there.wait(60)
        elif is_it(request) and not is_there.is_set():  # of the other: the first waits
            is_there.set()
            assert may_go_on.wait(60)

    computer.proxy.before = before
    first = computer.upload("--overwrite")
    may_go_on.set()
    other.join(60)
    assert first.status == 74 or not knows_conditions(computer), first.output
    assert (first.status, ended[0].status) != (0, 0)
    if first.status == 74:
        assert ended[0].status == 0, ended[0].output
        second.check_whole(has_parts=True)


@pytest.mark.parametrize("option", first_of([("--overwrite",), ("--overwrite-foreign",)]))
@pytest.mark.parametrize(
    "at", first_of(["a file", "a part", "Complete", "the last list", "the manifest"])
)
def test_both_overwrite(
    computer: Computer, second: Computer, at: str, option: tuple[str, ...]
) -> None:
    """Of two that overwrite a whole asset at the same time at most one ends well. A request that is
    on its way then may still replace an object: the next upload sends that anew."""
    assert second.upload().status == 0
    second.write_some(b"3")
    is_it = _AT[at]()
    ended = []

    def before(request: Request) -> None:
        if not ended and is_it(request):
            ended.append(None)
            ended[:] = [second.upload(*option)]

    computer.proxy.before = before
    first = computer.upload(*option)
    (other,) = ended
    assert other is not None
    assert (first.status, other.status) != (0, 0)
    if other.status != 0:
        assert option == ("--overwrite",)
        assert first.status == 0, first.output
        computer.check_whole(has_parts=True)
    computer.heal()
    assert second.upload("--overwrite-foreign").status == 0
    second.check_whole(has_parts=True)
    assert computer.upload("--overwrite").status == 0
    computer.check_whole(has_parts=True)


@pytest.mark.parametrize(
    "again", first_of([("upload", ("--overwrite",)), ("resume", ("--overwrite",)), ("resume", ())])
)
@pytest.mark.parametrize(
    "at", first_of(["a file", "a part", "Complete", "the last list", "the manifest"])
)
@pytest.mark.parametrize(
    "second_at",
    first_of([None, "the claim", "a file", "Complete", "the last list", "the manifest"]),
)
def test_the_first_goes_on_later(
    computer: Computer, second: Computer, second_at: str | None, at: str, again: tuple[str, tuple[str, ...]]
) -> None:  # fmt: skip
    """The first ended early. The second has overwritten it with other bytes of equal sizes, and was
    perhaps killed. What the first has sent before does not count: it sends its bytes anew, or says
    what nothing proves to be of this asset."""
    computer.proxy.decide = refuse(_AT[at](), 400, "ExpiredToken")
    assert computer.upload().status == 74
    computer.heal()
    before = computer.uploader.read()
    ended = second.upload("--overwrite")
    assert (ended.status, "--overwrite-foreign" in ended.output) == (74, True), ended.output
    assert computer.uploader.read() == before, "nothing proves these objects to be of this toolkit"
    if second_at is not None:
        second.kill_after(nth(2, is_list) if second_at == "the last list" else _AT[second_at]())
    assert second.upload("--overwrite-foreign").status == (0 if second_at is None else -9)
    computer.heal()
    word, options = again
    ended = computer.resume(*options) if word == "resume" else computer.upload(*options)
    if second_at in (None, "the manifest") and options:
        assert ended.status == 0, ended.output
    if ended.status == 0:
        computer.check_whole(has_parts=True)
        return
    computer.check_manifest()
    assert "--overwrite" in ended.output
    assert computer.upload("--overwrite-foreign").status == 0
    computer.check_whole(has_parts=True)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["a file", "Complete", "the last list"])
def test_each_overwrites_the_other(computer: Computer, second: Computer, at: str) -> None:
    """Each ends early and is replaced by the other: what is whole is the folder of one of them."""
    for number, (one, other) in enumerate(((computer, second), (second, computer)) * 2):
        one.write_some(b"%d" % (5 + number))
        one.proxy.decide = refuse(_AT[at](), 400, "ExpiredToken")
        assert one.upload("--overwrite").status == 74
        one.heal()
        one.check_manifest()
        assert other.upload("--overwrite-foreign").status == 0
        other.check_whole(has_parts=True)
        assert one.resume().status == 74
        other.check_whole(has_parts=True)
