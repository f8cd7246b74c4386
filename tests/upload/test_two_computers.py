"""Two computers that upload other folders to one asset: it is one of the two, and nobody says else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.storage.proxy import Request
from tests.upload.computers import (
    Computer,
    is_begin,
    is_complete,
    is_list,
    is_part,
    is_put_of,
    nth,
    refuse,
)

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
        computer.check_whole()
    elif second_status == 0:
        second.check_whole()
    else:
        computer.check_manifest()


@pytest.mark.parametrize("option", [(), ("--overwrite",), ("--overwrite-foreign",), ("--repair",)])
@pytest.mark.parametrize("at", list(_AT))
def test_the_second_while_the_first_runs(
    computer: Computer, second: Computer, at: str, option: tuple[str, ...]
) -> None:
    """The first waits before a request, the second runs to its end, the first goes on."""
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
    _check_one(computer, second, first.status, other.status)
    if first.status != 0:
        assert other.status == 0, "one of them is whole"
        assert first.status == 74
    else:
        assert other.status == 74 or at == "the manifest"


@pytest.mark.parametrize("option", [("--overwrite",), ("--overwrite-foreign",)])
@pytest.mark.parametrize("at", ["a file", "a part", "Complete", "the last list", "the manifest"])
def test_both_overwrite(
    computer: Computer, second: Computer, at: str, option: tuple[str, ...]
) -> None:
    """A request of the first that is on its way when the second ends may replace one object of it:
    then the first fails, and any further upload ends with its local bytes."""
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
    assert other.status == 0
    assert first.status == 74, first.output
    computer.heal()
    assert second.upload("--overwrite").status == 0
    second.check_whole()
    assert computer.upload("--overwrite").status == 0
    computer.check_whole()


@pytest.mark.parametrize("again", [("upload", ("--overwrite",)), ("resume", ("--overwrite",)), ("resume", ())])
@pytest.mark.parametrize("at", ["a file", "a part", "Complete", "the last list", "the manifest"])
@pytest.mark.parametrize("second_at", [None, "the claim", "a file", "Complete", "the last list", "the manifest"])
def test_the_first_goes_on_later(
    computer: Computer, second: Computer, second_at: str | None, at: str, again: tuple[str, tuple[str, ...]]
) -> None:  # fmt: skip
    """The first ended early. The second has overwritten it with other bytes of equal sizes, and was
    perhaps killed. What the first has sent before does not count: it sends its bytes anew."""
    computer.proxy.decide = refuse(_AT[at](), 400, "ExpiredToken")
    assert computer.upload().status == 74
    computer.heal()
    if second_at is not None:
        second.kill_after(_AT[second_at]())
    assert second.upload("--overwrite").status == (0 if second_at is None else -9)
    computer.heal()
    word, options = again
    ended = computer.resume(*options) if word == "resume" else computer.upload(*options)
    if options:
        assert ended.status == 0, ended.output
        computer.check_whole()
    else:
        assert ended.status == 74, ended.output
        computer.check_manifest()


@pytest.mark.parametrize("at", ["a file", "Complete", "the last list"])
def test_the_first_goes_on_when_the_second_was_dropped(
    computer: Computer, second: Computer, at: str
) -> None:
    """The second overwrites, ends early, and goes on: each time the bytes are of one of them."""
    for one, other in ((computer, second), (second, computer), (computer, second)):
        one.proxy.decide = refuse(_AT[at](), 400, "ExpiredToken")
        assert one.upload("--overwrite").status == 74
        one.heal()
        one.check_manifest()
        assert other.upload("--overwrite").status == 0
        other.check_whole()
    assert computer.resume().status == 74
    second.check_whole()
