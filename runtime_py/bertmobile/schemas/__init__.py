"""The published JSON Schemas (draft 7) of the files in a bundle, and their validation."""

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import fastjsonschema

from bertmobile.errors import BertMobileError


@cache
def _validator(name: str) -> Callable[[Any], Any]:
    text = resources.files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    return fastjsonschema.compile(json.loads(text))  # type: ignore[no-any-return]


def validate(document: object, schema: str, *, source: str, error: type[BertMobileError]) -> None:
    """Check a parsed JSON document.

    Args:
        document: the parsed JSON.
        schema: name of a schema in this folder, such as ``"manifest"``.
        source: what to call the document in the error.
        error: type of error to raise.

    Raises:
        error: the document does not fit; the message names the place and the rule.
    """
    try:
        _validator(schema)(document)
    except fastjsonschema.JsonSchemaValueException as failure:
        raise error(f"{source} does not fit the {schema} schema: {failure.message}") from failure
