"""`manifest.json`: what a whole asset consists of; written last: what has none is not whole.

One file a line inside of valid JSON, by key: a reader needs one line at a time, however many there
are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from aind_capsule.storage.errors import StorageError
from aind_capsule.upload.journal import Journal
from aind_capsule.upload.keys import tell_name

FORMAT = 1
_FILES = b'"files":['
_DIGEST_BYTES = 32


class ManifestError(StorageError):
    """What should be a manifest is none that can be read here."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of an asset.

    Attributes:
        key: Below the asset's folder.
        size: Bytes.
        sha256: Digest.
        etag: The server's name for it, by which a replaced object shows; empty where it is not
            known.
    """

    key: str
    size: int
    sha256: bytes
    etag: str = ""


def write_manifest(file: IO[bytes], head: Mapping[str, Any], journal: Journal) -> None:
    """Write the manifest of what a journal has sent.

    Args:
        file: Where to.
        head: What stands in front of the files.
        journal: It.
    """
    empty, left_out = [], []
    for name, why, _ in journal.find_others():
        if why is None:
            empty.append(tell_name(name))
        else:
            left_out.append({**tell_name(name), "why": why})
    told = {"format": FORMAT, **head, "empty_folders": empty, "left_out": left_out}
    file.write(_dump(told)[:-1] + b"," + _FILES)
    separator = b"\n"
    for key, name, size, sha256, etag in journal.find_sent():
        row: dict[str, Any] = {"key": key, "size": size, "sha256": sha256.hex()}
        if etag:
            row["etag"] = etag
        if name != key.encode():
            row |= tell_name(name)
        file.write(separator + _dump(row))
        separator = b",\n"
    file.write(b"\n]}\n")


def build_placeholder(head: Mapping[str, Any]) -> bytes:
    """Return a manifest that names no file: it replaces one that cannot be removed.

    Args:
        head: What stands in front of the files.
    """
    return _dump({"format": FORMAT, **head, "is_incomplete": True})[:-1] + b"," + _FILES + b"\n]}\n"


def read_head(line: bytes) -> dict[str, Any]:
    """What stands in front of the files, from a manifest's first line.

    Raises:
        ManifestError: It is no manifest of ours.
    """
    try:
        head = json.loads(line.rstrip().removesuffix(_FILES).removesuffix(b",") + b"}")
    except (ValueError, RecursionError):
        head = None
    if (
        not isinstance(head, dict)
        or head.get("format") != FORMAT
        or not line.rstrip().endswith(_FILES)
    ):
        raise ManifestError(
            "The manifest is none that this version can read",
            hint="It was written by another program, or by a later version: name another asset.",
        )
    return head


def read_files(lines: Iterable[bytes]) -> Iterator[ManifestFile]:
    """The files, from all lines behind the first.

    Raises:
        ManifestError: A line cannot be read, or the end is missing.
    """
    for line in lines:
        text = line.strip()
        if text == b"]}":
            return
        try:
            row = json.loads(text.removesuffix(b","))
            file = _read_file(row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ManifestError(
                f"The manifest has a line that is no file's: {text[:200]!r}"
            ) from error
        yield file
    raise ManifestError("The manifest has no end: it was cut", hint="Upload it again.")


def _read_file(row: Any) -> ManifestFile:
    """Return one file of a manifest.

    Raises:
        ValueError: A value is none that can be.
        KeyError: One is missing.
        TypeError: One is of a wrong type.
    """
    key, size = row["key"], row["size"]
    digest, etag = bytes.fromhex(row["sha256"]), str(row.get("etag", ""))
    if not isinstance(key, str) or isinstance(size, bool) or not isinstance(size, int):
        raise TypeError
    if not 0 <= size < 2**63 or len(digest) != _DIGEST_BYTES:
        raise ValueError
    key.encode()  # refuses what JSON can hold and no key can
    etag.encode()
    return ManifestFile(key, size, digest, etag)


def _dump(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
