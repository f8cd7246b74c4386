"""Write the pages that follow from tables in the code: the record's fields and the settings."""

from __future__ import annotations

import json
from pathlib import Path

from aind_capsule.records.schema import FIELDS
from aind_capsule.settings.model import ROWS

_GROUPS = {
    "standard": "Fields of the AIND logging standard",
    "toolkit": "Fields of the toolkit",
    "canonical": "Fields of the canonical record",
}


def write_generated(folder: Path) -> None:
    """Write all generated pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fields.md").write_text(build_fields_page())
    (folder / "settings.md").write_text(build_settings_page())


def build_fields_page() -> str:
    """The table of fields."""
    lines = [
        "# The record's fields",
        "",
        "Made from the table in `aind_capsule.records.schema`.",
        "",
    ]
    for group, title in _GROUPS.items():
        lines += [f"## {title}", "", "| field | type | required | meaning |", "|---|---|---|---|"]
        for field in FIELDS:
            if field.group == group:
                choices = (
                    f" One of {', '.join(f'`{c}`' for c in field.choices)}."
                    if field.choices
                    else ""
                )
                required = "yes" if field.required else ""
                lines.append(
                    f"| `{field.name}` | {field.type} | {required} | {field.description}{choices} |"
                )
        lines.append("")
    return "\n".join(lines)


def build_settings_page() -> str:
    """The table of settings."""
    lines = [
        "# Settings", "",
        "Made from the table in `aind_capsule.settings.model`. A flag wins over the environment, the",
        "environment over `capsule.toml` in the code folder, that over the user's own file",
        "(`~/.config/aind-capsule/capsule.toml`), and that over the default. `capsule settings` shows",
        "each value with its source.", "",
        "| setting | flag | environment | form | default | meaning |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in ROWS:
        default = row.default
        if isinstance(default, (frozenset, tuple)):
            default = sorted(default)
        shown = "" if default in (None, [], {}) else f"`{json.dumps(default)}`"
        variables = ", ".join(f"`{name}`" for name in row.env)
        flag = f"`{row.flag}`" if row.flag else ""
        lines.append(
            f"| `{row.key}` | {flag} | {variables} | {row.form} | {shown} | {row.description} |"
        )
    return "\n".join([*lines, ""])
