"""Write the pages that follow from tables in the code: the record's fields and the settings.

The tables of secrets and of levels stand within pages that people read on GitHub as well:
`python docs/generate.py` writes them anew there, and a test compares.
"""

from __future__ import annotations

import json
from pathlib import Path

from aind_capsule.records.line_levels.forms import FORMS
from aind_capsule.records.line_levels.infer import infer_level
from aind_capsule.records.redaction.rules import RULES
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


def build_secrets_table() -> str:
    """The table of shapes that are hidden."""
    rows = [f"| {rule.name} | `{rule.form.replace('|', chr(92) + '|')}` |" for rule in RULES]
    return "\n".join(["| what | form |", "|---|---|", *rows])


def build_levels_table() -> str:
    """The table of forms in which a line states its level."""
    rows = [
        f"| `{form.example.replace('|', chr(92) + '|')}` | {infer_level(form.example)} |"
        for form in FORMS
    ]
    return "\n".join(["| line | level |", "|---|---|", *rows])


#: Pages with a table between two comments.
TABLES = {
    "how-to/hide-secrets.md": build_secrets_table,
    "reference/lines.md": build_levels_table,
}
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"


def insert_table(text: str, table: str) -> str:
    """Return a page with a table between the two comments."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    for name, build in TABLES.items():
        page = Path(__file__).parent / name
        page.write_text(insert_table(page.read_text(), build()))
