"""Does a document have the form that the JSON Schema in the package says?

As much of JSON Schema (draft 2020-12) as that schema uses; a keyword that is not known here is an
error, so that none is silently ignored. The writer validates with the ``jsonschema`` library.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

from simcert.checker.errors import CheckError

_IGNORED = {"$schema", "$id", "$defs", "title", "description"}

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def load() -> dict[str, Any]:
    """Return the schema of certificates."""
    text = files("simcert").joinpath("certificate", "schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check(value: object, schema: dict[str, Any]) -> None:
    """Require that ``value`` has the form of ``schema``.

    Raises:
        CheckError: naming the place where it has not.
    """
    _check(value, schema, schema, "certificate")


def _check(value: object, schema: dict[str, Any], root: dict[str, Any], where: str) -> None:
    for keyword, rule in schema.items():
        if keyword in _IGNORED or keyword == "additionalProperties":
            continue
        if keyword == "$ref":
            _check(value, _definition(rule, root), root, where)
        elif keyword == "anyOf":
            _check_any(value, rule, root, where)
        elif keyword == "properties":
            _check_properties(value, schema, root, where)
        elif keyword == "items":
            for index, item in enumerate(value if isinstance(value, list) else ()):
                _check(item, rule, root, f"{where}[{index}]")
        elif not _holds(keyword, rule, value):
            raise CheckError(f"{where} breaks the schema: {keyword} {rule!r}"[:300])


def _definition(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = root["$defs"][reference.removeprefix("#/$defs/")]
    return found


def _check_any(
    value: object, choices: list[dict[str, Any]], root: dict[str, Any], where: str
) -> None:
    problem: CheckError | None = None
    for choice in choices:
        try:
            _check(value, choice, root, where)
        except CheckError as error:
            problem = error
        else:
            return
    raise problem or CheckError(f"{where} breaks the schema")


def _check_properties(
    value: object, schema: dict[str, Any], root: dict[str, Any], where: str
) -> None:
    if not isinstance(value, dict):
        return
    known, other = schema["properties"], schema.get("additionalProperties", True)
    for key, item in value.items():
        rule = known.get(key, other)
        if rule is False:
            raise CheckError(f"{where} has a key {key!r} that the schema does not know"[:300])
        if rule is not True:
            _check(item, rule, root, f"{where}.{key}")


def _holds(keyword: str, rule: Any, value: object) -> bool:
    match keyword:
        case "type":
            names = rule if isinstance(rule, list) else [rule]
            return any(_is(value, name) for name in names)
        case "const":
            return type(value) is type(rule) and value == rule
        case "enum":
            return any(type(value) is type(item) and value == item for item in rule)
        case "required":
            return not isinstance(value, dict) or all(key in value for key in rule)
        case "pattern":
            return not isinstance(value, str) or re.search(rule, value) is not None
        case "minimum":
            return not isinstance(value, int | float) or value >= rule
        case "minItems":
            return not isinstance(value, list) or len(value) >= rule
        case "maxItems":
            return not isinstance(value, list) or len(value) <= rule
    raise CheckError(f"the schema uses {keyword!r}, which the checker does not know")


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])
