"""Which rule hides what: for people who try their texts, not for a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aind_capsule.records.literals import LiteralFinder
from aind_capsule.records.redaction.assignments import Assignments
from aind_capsule.records.redaction.known import find_known_sources, is_worth_finding, spell_forms
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.rules import RULES
from aind_capsule.settings.model import Settings, find_secret_values

_NAME_RULE = "value behind a secret's name"
_PATTERN_RULE = "redact.patterns"
_SETTING_RULE = "secret of a setting"


class RuleNamer:
    """Names the rules that find secrets in a text.

    Args:
        settings: The user's own rules are among them.
        environ: Holds known values.

    Attributes:
        variables: The variables whose values are known.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        names = SecretNames(settings.redact.fields)
        sources = find_known_sources(environ, names, settings.redact.values_from_env)
        self.variables = list(dict.fromkeys(sources.values()))
        rules = {value: f"value of {name}" for value, name in sources.items()}
        for value in filter(is_worth_finding, find_secret_values(settings)):
            rules.setdefault(value, _SETTING_RULE)
        forms = {form: rule for value, rule in rules.items() for form in spell_forms([value])}
        self._known = LiteralFinder(list(forms))
        self._known_rules = list(forms.values())
        self._assignments = Assignments(names)
        self._patterns = settings.redact.patterns

    def name(self, text: bytes) -> list[str]:
        """Return the names of the rules, in the order of what they find."""
        return list(dict.fromkeys(rule for _, rule in sorted(self._find(text))))

    def _find(self, text: bytes) -> Iterator[tuple[int, str]]:
        for index, start, _ in self._known.find(text):
            yield start, self._known_rules[index]
        for start, end in self._assignments.find(text):
            if end > start:
                yield start, _NAME_RULE
        lowered = text.lower()
        for rule in RULES:
            if any(literal.encode() in lowered for literal in rule.literals):
                for start, _ in rule.find(text):
                    yield start, rule.name
        decoded = text.decode("utf-8", "replace")
        for pattern in self._patterns:
            for match in pattern.finditer(decoded):
                yield len(decoded[: match.start()].encode()), _PATTERN_RULE
