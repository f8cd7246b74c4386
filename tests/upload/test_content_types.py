"""The content type of an object is that of its bytes, by the ending of its name."""

from __future__ import annotations

import pytest

from aind_capsule.upload.content_types import ContentTypes


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.json", "application/json"),
        ("a/b.c/x.CSV", "text/csv"),
        ("x.json.gz", "application/gzip"),
        ("x.nii.gz", "application/gzip"),
        ("x.tar.gz", "application/gzip"),
        ("x.tgz", "application/gzip"),
        ("x.svgz", "application/gzip"),
        ("x.tar", "application/x-tar"),
        ("x.csv.bz2", "application/x-bzip2"),
        ("x.csv.xz", "application/x-xz"),
        ("x.nwb.zst", "application/zstd"),
        ("x.tar.lz4", "application/x-lz4"),
        ("x.json.Z", "application/x-compress"),
        ("x.html.br", "application/octet-stream"),
        ("x.zip", "application/zip"),
        ("x", "application/octet-stream"),
        ("x.", "application/octet-stream"),
        ("gz", "application/octet-stream"),
        ("json/x", "application/octet-stream"),
        ("a.json/x", "application/octet-stream"),
        ("x.unheard-of", "application/octet-stream"),
        ("data:text/html,.json", "application/json"),
    ],
)
def test_by_ending(name: str, expected: str) -> None:
    """Only the last ending counts: compressed bytes are of their compression."""
    assert ContentTypes({}).find(name) == expected


def test_those_of_the_user_win() -> None:
    """The longest ending first, in any case, also without a dot and of a compressed file."""
    types = ContentTypes({".zst": "x/z", ".NWB.zst": "x/nwb", "README": "text/plain"})
    assert types.find("a/x.nwb.ZST") == "x/nwb"
    assert types.find("a/x.zst") == "x/z"
    assert types.find("readme") == "text/plain"
    assert types.find("x.json") == "application/json"
