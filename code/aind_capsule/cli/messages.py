"""What commands say of themselves: it may hold what a user gave, and so a secret."""

from __future__ import annotations

import os


def hide_secrets(text: str) -> str:
    """Return a message of a command without secrets of this environment, and of known forms."""
    from aind_capsule.records.redaction.redactor import Redactor  # few commands end with an error
    from aind_capsule.settings.model import Settings

    return Redactor.from_settings(Settings(), os.environ).redact_text(text)
