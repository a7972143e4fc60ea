"""The shape of a result: ``schema.json``, JSON Schema 2020-12."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from pantiny.errors import DataError


def schema() -> dict[str, Any]:
    """The schema."""
    text = (resources.files(__package__) / "schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def check(result: Any) -> bool:
    """Whether a result could be checked: False where jsonschema is not installed.

    Raises
    ------
    DataError
        If it does not have the shape.
    """
    try:
        import jsonschema
    except ImportError:
        return False
    try:
        jsonschema.validate(result, schema())
    except jsonschema.ValidationError as error:
        raise DataError(
            f"bench: the result is not valid at {error.json_path} ({error.message[:200]}); need "
            "what benchmarks/schema.json describes; make it again with pantiny bench"
        ) from error
    return True
