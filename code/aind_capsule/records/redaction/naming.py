"""Which rule hides what: for people who try their texts, not for a run."""

from __future__ import annotations

from collections.abc import Mapping

from aind_capsule.records.redaction.known import find_known_sources, is_worth_finding, spell_forms
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import KNOWN_RULE, Redactor
from aind_capsule.settings.model import Settings, find_secret_values


class RuleNamer:
    """Names the rules that find secrets in a text.

    Args:
        redactor: Finds them.
        settings: Say which variables hold secrets.
        environ: The environment of a run.

    Attributes:
        variables: The variables whose values are known.
    """

    def __init__(self, redactor: Redactor, settings: Settings, environ: Mapping[str, str]) -> None:
        self._redactor = redactor
        names = SecretNames(settings.redact.fields, settings.redact.names_off)
        sources = find_known_sources(environ, names, settings.redact.values_from_env)
        self.variables = list(dict.fromkeys(sources.values()))
        rules = {value: f"value of {name}" for value, name in sources.items()}
        for value in filter(is_worth_finding, find_secret_values(settings)):
            rules.setdefault(value, "secret of a setting")
        self._known = {form: rule for value, rule in rules.items() for form in spell_forms([value])}

    def name(self, text: bytes) -> list[str]:
        """Return the names of the rules, in the order of what they find."""
        names: dict[str, None] = {}
        for (start, end), rule in self._redactor.find_named_spans(text):
            is_known = rule == KNOWN_RULE
            names[self._known.get(text[start:end].lower(), rule) if is_known else rule] = None
        return list(names)
