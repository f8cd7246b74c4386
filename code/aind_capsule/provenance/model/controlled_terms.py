"""Find an organization, modality or registry among those that the schema names.

Called by `description_upgrade`. aind-data-schema-models is imported at the first call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Abbreviations that were in use before the schema had its own; in lower case.
_OLD_MODALITIES = {
    "smartspim": "SPIM",
    "exaspim": "SPIM",
    "fip": "fib",
    "hsfp": "fib",
    "slap": "slap2",
    "ophys": "pophys",
}
#: What old modalities are as text, where a program wrote the object itself.
_SHOWN_OBJECT = re.compile(r"\babbreviation=['\"]?([\w-]+)")


def find_organization(value: Any) -> dict[str, Any] | None:
    """Return the organization that a text or an object names, or None.

    Args:
        value: A name or an abbreviation, also as `Organization.AIND`; or an object with these.
    """
    from aind_data_schema_models.organizations import Organization

    for term in _list_terms(value):
        last = term.rpartition(".")[2].strip()
        for known in (term, last):
            # None or an error, by the version of the library.
            for find in (Organization.from_name, Organization.from_abbreviation):
                try:
                    found = find(known)
                except (KeyError, ValueError):
                    found = None
                if found is not None:
                    return _dump(found)
    return None


def find_modality(value: Any) -> dict[str, Any] | None:
    """Return the modality that a text or an object names, or None.

    Args:
        value: An abbreviation or a name in any case, also as the text of an object
            (`name='Behavior' abbreviation='behavior'`); or an object with these.
    """
    from aind_data_schema_models.modalities import Modality

    for term in _list_terms(value):
        shown = _SHOWN_OBJECT.search(term)
        wanted = (term if shown is None else shown[1]).lower()
        wanted = _OLD_MODALITIES.get(wanted, wanted).lower()
        for kind in Modality.ALL:
            known = kind()
            if wanted in (known.abbreviation.lower(), known.name.lower()):
                return _dump(known)
    return None


def find_registry(value: Any) -> str | None:
    """Return the registry that a text or an object names, or None.

    >>> find_registry({"name": "Open Researcher and Contributor ID", "abbreviation": "ORCiD"})
    'Open Researcher and Contributor ID (ORCID)'
    """
    from aind_data_schema_models.registries import Registry

    for term in _list_terms(value):
        for known in Registry:
            name, _, short = known.value.removesuffix(")").rpartition(" (")
            if term.lower() in (known.value.lower(), name.lower(), short.lower()):
                return str(known.value)
    return None


def _list_terms(value: Any) -> list[str]:
    """Return what names something: a text, or an object's name and then its abbreviation."""
    if isinstance(value, Mapping):
        values = [value.get("name"), value.get("abbreviation")]
    else:
        values = [value]
    return [text.strip() for text in values if isinstance(text, str) and text.strip()]


def _dump(model: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = model.model_dump(mode="json")
    return {name: value for name, value in dumped.items() if value is not None}
