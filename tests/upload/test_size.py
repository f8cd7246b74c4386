"""However many files there are, an upload needs no more memory and no more open files."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.upload.assets import Uploader


def _measure(uploader: Uploader, name: str) -> tuple[float, int]:
    """Peak memory in MB and the most open files of an upload."""
    words = (str(uploader.folder), f"s3://{uploader.bucket}/assets", "--asset-name", name)
    process = subprocess.Popen(
        uploader.get_command(*words),
        env=uploader.environ,
        cwd=uploader.root,
        stdout=subprocess.DEVNULL,
    )
    most = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            return usage.ru_maxrss / 1024, most
        try:
            most = max(most, len(list(Path(f"/proc/{process.pid}/fd").iterdir())))
        except OSError:
            pass
        time.sleep(0.05)


@pytest.mark.slow
def test_memory_and_open_files(uploader: Uploader) -> None:
    """Twenty times as many files: some MB at most, and no more descriptors."""
    uploader.write(*(f"d{number % 7}/f{number:05}" for number in range(150)))
    few_mb, few_files = _measure(uploader, "few")
    uploader.write(*(f"d{number % 7}/f{number:05}" for number in range(3000)))
    many_mb, many_files = _measure(uploader, "many")
    assert many_mb - few_mb < 8
    assert many_files <= few_files + 5
    assert many_files < 60
