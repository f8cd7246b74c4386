"""The one owner of aind-data-schema: what it takes, and what it has against a record."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aind_capsule.errors import CapsuleError
from aind_capsule.records.encode import decode

_LONGEST_FAULT = 300
_WRONG_TYPE = "a value is of a wrong type"
_CLASS = re.compile(r"<class '([^']*)'>")
#: The last time in an asset's name, which is when it was made.
_TIME_IN_NAME = re.compile(r"_(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)$")


class SchemaMissingError(CapsuleError):
    """aind-data-schema is not installed, or is another than the one that is needed."""


class InvalidRecordError(CapsuleError):
    """A record that the schema refuses.

    Args:
        message: What is wrong with it.
        faults: Where, and why: one for each fault.
    """

    def __init__(self, message: str, faults: Sequence[tuple[tuple[str, ...], str]] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


def check_schema() -> None:
    """Check that an aind-data-schema of version 2 is installed.

    Raises:
        SchemaMissingError: There is none.
    """
    _load()


def find_process_types() -> tuple[str, ...]:
    """The process types that the installed schema knows.

    Raises:
        SchemaMissingError: There is none of version 2.
    """
    return tuple(str(kind.value) for kind in _load().ProcessName)


def validate_data_process(content: Mapping[str, Any]) -> dict[str, Any]:
    """A `DataProcess` of version 2 as the schema itself writes it.

    Raises:
        SchemaMissingError: There is no aind-data-schema of version 2.
        InvalidRecordError: It is refused; the message names the fields.
    """
    return _validate(_load().DataProcess, content)


def validate_code(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a `Code`, such as a pipeline is told by."""
    return _validate(_load().Code, content)


def validate_processing(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a `Processing`."""
    return _validate(_load().Processing, content)


def derive_description(
    content: Mapping[str, Any], label: str, source_data: Sequence[str]
) -> dict[str, Any]:
    """The `DataDescription` of an asset that is derived from that of another, now.

    Args:
        content: The other's, raw or derived, of version 2.
        label: What stands between input and time in the name.
        source_data: Names of the assets that it is derived from.

    Raises:
        SchemaMissingError: There is no aind-data-schema of version 2.
        InvalidRecordError: The description cannot be used, or what would follow is refused.
    """
    _load()
    from aind_data_schema.core.data_description import DataDescription
    from aind_data_schema.utils.inheritance import derive_data_description

    with _told_as_faults():
        valid = DataDescription.model_validate(content)
        derived = derive_data_description(valid, label, list(source_data))
        return _dump(derived)


def rename_description(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A valid `DataDescription` under another name, created when that says, if it says so.

    Raises:
        SchemaMissingError: There is no aind-data-schema of version 2.
        InvalidRecordError: The schema refuses the name.
    """
    from aind_data_schema.core.data_description import DataDescription

    created = _TIME_IN_NAME.search(name)
    more = {"name": name}
    if created is not None:
        date, hour, minute, second = created.groups()
        more["creation_time"] = f"{date}T{hour}:{minute}:{second}Z"
    return _validate(DataDescription, {**content, **more})


def _validate(model: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    with _told_as_faults():
        return _dump(model.model_validate(content))


def _dump(valid: Any) -> dict[str, Any]:
    written = decode(valid.model_dump_json().encode())
    if written is None:  # a number with hundreds of digits
        raise ValueError("it cannot be written as JSON")
    told: dict[str, Any] = _drop_unset(valid, written)
    return told


def _drop_unset(valid: Any, told: Any) -> Any:
    """What the schema has written, without its own fields that are None.

    A None in a table of any form (parameters, metrics) is somebody's value, and stays.
    """
    from pydantic import BaseModel

    if isinstance(valid, BaseModel) and isinstance(told, dict):
        if valid.model_config.get("extra") == "allow":
            return told
        for name, value in told.items():
            number = getattr(valid, name, None)
            if value is None and isinstance(number, float):  # NaN, also as text
                raise ValueError(f"{name} is {number}, which JSON cannot hold")
        return {
            name: _drop_unset(getattr(valid, name, None), value)
            for name, value in told.items()
            if value is not None
        }
    if isinstance(valid, (list, tuple)) and isinstance(told, list):
        return [_drop_unset(*pair) for pair in zip(valid, told, strict=True)]
    return told


@contextlib.contextmanager
def _told_as_faults() -> Iterator[None]:
    """What the schema has against something, as our error; its warnings are told by the gaps."""
    from pydantic import ValidationError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ValidationError as error:
        faults = [
            (tuple(map(str, fault["loc"])), _CLASS.sub(r"\1", fault["msg"]))
            for fault in error.errors()
        ]
        said = "; ".join(f"{'.'.join(place)}: {why}" for place, why in faults)
        raise InvalidRecordError(said[:_LONGEST_FAULT], faults) from error
    except ValueError as error:  # a rule that the schema checks outside of its models
        raise InvalidRecordError(_CLASS.sub(r"\1", str(error))[:_LONGEST_FAULT]) from error
    except CapsuleError:
        raise
    except Exception as error:
        # The schema's own rules look into values before their types are checked: TypeError,
        # AttributeError, KeyError, RecursionError. Their texts say nothing to people.
        raise InvalidRecordError(_WRONG_TYPE) from error


def _load() -> Any:
    try:
        from aind_data_schema.core import processing
    except Exception as error:  # not there, or broken by what is installed beside it
        is_absent = isinstance(error, ModuleNotFoundError) and error.name == "aind_data_schema"
        raise SchemaMissingError(
            "aind-data-schema is not installed"
            if is_absent
            else f"aind-data-schema cannot be imported: {type(error).__name__}: {error}",
            hint="pip install 'aind-capsule[metadata]'",
        ) from error
    if "process_type" not in processing.DataProcess.model_fields:
        raise SchemaMissingError(
            "The installed aind-data-schema is older than 2",
            hint="Set provenance.schema_version = 1, or pip install 'aind-capsule[metadata]'",
        )
    return processing
