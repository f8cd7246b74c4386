"""Fake /proc, cgroup and file-system trees in a temporary folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """Files with their texts, by path; a path that ends in `/` is an empty folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return root


def write_process(
    proc: Path,
    pid: int,
    parent: int,
    *,
    group: int = 1,
    state: str = "S",
    command: Sequence[str] = (),
    cwd: Path | None = None,
) -> None:
    """One process as /proc shows it, with a name that is hard to read."""
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (a) R 1\n(b)) {state} {parent} {group} 1 0 -1 4194304 1\n")
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))
    if cwd is not None:
        (folder / "cwd").symlink_to(cwd)
