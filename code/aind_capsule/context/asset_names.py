"""Names of AIND data assets: which acquisition of which subject, and what was derived from it.

Called by `assets`. A raw asset is named `<subject>_<date>_<time>`, in older ones with the platform
in front (`ecephys_…`); a derived one goes on with `_<label>_<date>_<time>`, once for each step.
Rules: the names of aind-data-schema, whose own pattern for raw names also takes derived ones.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

#: How a name writes a time.
NAME_TIME_FORMAT = "%Y-%m-%d_%H-%M-%S"
_TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}"
#: The first time ends the acquisition, whatever follows.
_NAME = re.compile(rf"(?P<head>[^/\\]+?)_(?P<time>{_TIME})(?:_(?P<derived>[^/\\]+))?", re.ASCII)
_PLATFORM = re.compile(r"(?P<platform>[A-Za-z][A-Za-z0-9-]*)_(?P<subject>.+)", re.ASCII)
_STEP = re.compile(rf"(?P<label>.+?)_(?P<time>{_TIME})(?:_(?=.)|$)", re.ASCII)
_MAX_CHARS = 256


@dataclass(frozen=True, slots=True)
class AssetName:
    """The parts of a name.

    Attributes:
        platform: What stood in front of the subject, in older names.
        acquired: Date and time of the acquisition, as they stand in the name.
        derived: What follows the acquisition (`dlc_face_2024-04-25_12-15-20`); None in a raw name.
    """

    subject_id: str
    acquired: str
    platform: str | None = None
    derived: str | None = None

    @property
    def acquisition_name(self) -> str:
        """The raw name without the platform."""
        return f"{self.subject_id}_{self.acquired}"

    @property
    def level(self) -> str:
        """`raw` or `derived`."""
        return "raw" if self.derived is None else "derived"

    @property
    def is_complete(self) -> bool:
        """Whether it ends in a time, as names of assets do and names of their files do not."""
        return self.derived is None or self._match_steps()[1]

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each step; text without a time behind it is a label too.

        >>> parse_asset_name("1_2024-01-02_03-04-05_sorted_2024-01-03_00-00-00_nwb").labels
        ('sorted', 'nwb')
        """
        return self._match_steps()[0]

    def _match_steps(self) -> tuple[tuple[str, ...], bool]:
        labels: list[str] = []
        rest = self.derived or ""
        while rest:
            step = _STEP.match(rest)
            if step is None or not _exists(step["time"]):
                return (*labels, rest), False
            labels.append(step["label"])
            rest = rest[step.end() :]
        return tuple(labels), True


def parse_asset_name(name: str, subject_id: str | None = None) -> AssetName | None:
    """Take an asset's name apart; None where it is no such name.

    Args:
        name: The name of an asset, or of its folder.
        subject_id: The subject, where metadata tells it: one that holds an underscore cannot be
            told from a platform in front otherwise.

    >>> parse_asset_name("ecephys_699847_2024-04-17_12-12-44").acquisition_name
    '699847_2024-04-17_12-12-44'
    >>> parse_asset_name("test_mouse_2024-04-17_12-12-44", "test_mouse").subject_id
    'test_mouse'
    >>> parse_asset_name("ecephys_session") is None
    True
    >>> parse_asset_name("699847_2025-13-45_99-99-99") is None
    True
    """
    if len(name) > _MAX_CHARS or not name.isprintable():
        return None
    match = _NAME.fullmatch(name)
    if match is None or not _exists(match["time"]):
        return None
    platform, subject = _split_head(match["head"], subject_id)
    return AssetName(subject, match["time"], platform, match["derived"])


def _exists(time: str) -> bool:
    """Return whether the calendar and the clock have a time."""
    try:
        dt.datetime.strptime(time, NAME_TIME_FORMAT)  # noqa: DTZ007
    except ValueError:
        return False
    return True


def _split_head(head: str, subject_id: str | None) -> tuple[str | None, str]:
    """Platform and subject of what stands before the acquisition's time."""
    if subject_id is not None:
        if head == subject_id:
            return None, head
        platform = head.removesuffix(f"_{subject_id}")
        if platform and platform != head:
            return platform, subject_id
    match = _PLATFORM.fullmatch(head)
    return (None, head) if match is None else (match["platform"], match["subject"])
