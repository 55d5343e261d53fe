"""The JSON Schemas (draft 7) of what the commands print with ``--json``."""

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any


@cache
def _validator(name: str) -> Callable[[Any], Any]:
    import fastjsonschema

    text = resources.files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    return fastjsonschema.compile(json.loads(text))  # type: ignore[no-any-return]


def validate(document: object, schema: str) -> None:
    """Check a document of our own making against ``<schema>.schema.json`` of this folder.

    Raises:
        fastjsonschema.JsonSchemaValueException: it does not fit, which is a mistake of this package.
    """
    _validator(schema)(document)
