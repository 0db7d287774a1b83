"""Regions in JSON.

    {"lower": [0, 0], "upper": [1, 0.5]}
    {"boxes": [{"lower": [0, 0], "upper": [1, 0.5], "weight": 3}, ...],
     "names": ["speed", "angle"], "units": ["m/s", "rad"]}

Decimals are taken exactly and rounded outward: 0.1 as a lower bound is the float64 below it.
Weights are relative; all boxes have one or none.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from simcert.claim.region import Region
from simcert.claim.regions.bytes import read_bytes
from simcert.claim.rounding import decimal, float_above, float_below
from simcert.errors import ClaimError

MAX_BYTES = 16 << 20
MAX_ITEMS = 1 << 21
"""Numbers, strings, lists and objects."""

_MAX_NAME = 200


def read(path: Path, inputs: int) -> Region:
    """The region in a JSON file of at most `MAX_BYTES`; see `parse`."""
    return parse(read_bytes(path, MAX_BYTES), inputs, str(path), path.name)


def parse(data: bytes, inputs: int, where: str, source: str) -> Region:
    """The region that JSON describes.

    Args:
        data: UTF-8.
        inputs: number of inputs of the networks.
        where: the file, for error messages.
        source: the file, for the region.

    Raises:
        ClaimError: not JSON, more than `MAX_ITEMS`, duplicate or unknown keys, values of other
            types, NaN or infinity, another number of inputs, or see `Region`.
    """

    def number(text: str) -> Decimal:
        return decimal(text, where)

    def constant(text: str) -> NoReturn:
        raise ClaimError(f"{where}: {text} is not a number that a bound can have")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ClaimError(f"{where}: the key {twice[:_MAX_NAME]!r} comes twice")
        return table

    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > MAX_ITEMS:
        raise ClaimError(f"{where} has more than {MAX_ITEMS} items")
    try:
        document = json.loads(
            data,
            parse_float=number,
            parse_int=number,
            parse_constant=constant,
            object_pairs_hook=unique,
        )
    except ValueError as error:
        raise ClaimError(f"{where} is not JSON: {error}") from error
    except RecursionError:
        raise ClaimError(f"{where} is nested too deeply") from None

    if isinstance(document, dict) and "boxes" in document:
        _check_keys(document, {"boxes"}, {"names", "units"}, where)
        boxes = document["boxes"]
        if not (isinstance(boxes, list) and boxes):
            raise ClaimError(f"{where}: boxes must be a list of at least one box")
        for index, box in enumerate(boxes):
            _check_keys(box, {"lower", "upper"}, {"weight"}, f"{where}: box {index}")
    else:
        _check_keys(document, {"lower", "upper"}, {"names", "units"}, where)
        boxes = [document]
    weighted = ["weight" in box for box in boxes]
    if any(weighted) and not all(weighted):
        raise ClaimError(f"{where}: box {weighted.index(False)} has no weight, but others have")

    def bounds(key: str) -> list[list[Decimal]]:
        return [
            _decimals(box[key], inputs, f"{where}: {key} of box {i}") for i, box in enumerate(boxes)
        ]

    lower, upper = bounds("lower"), bounds("upper")
    for i, (low, high) in enumerate(zip(lower, upper, strict=True)):
        for j, (a, b) in enumerate(zip(low, high, strict=True)):
            if a > b:
                raise ClaimError(
                    f"{where}: input {j} of box {i} is bounded by [{a}, {b}]; "
                    "the lower bound is above the upper bound"
                )
    weights = None
    if all(weighted):
        given = _decimals([box["weight"] for box in boxes], len(boxes), f"{where}: weights")
        weights = [float(weight) for weight in given]
    return Region.from_boxes(
        [[float_below(value) for value in box] for box in lower],
        [[float_above(value) for value in box] for box in upper],
        weights=weights,
        source=source,
        names=_words(document, "names", where),
        units=_words(document, "units", where),
    )


def _check_keys(table: object, needed: set[str], optional: set[str], where: str) -> None:
    if not isinstance(table, dict):
        raise ClaimError(f"{where} must be an object with the keys {', '.join(sorted(needed))}")
    for key in sorted(needed - table.keys()):
        raise ClaimError(f"{where} has no key {key!r}")
    for key in sorted(table.keys() - needed - optional):
        known = ", ".join(sorted(needed | optional))
        raise ClaimError(f"{where} has an unknown key {key[:_MAX_NAME]!r}; known: {known}")


def _decimals(values: object, count: int, where: str) -> list[Decimal]:
    if not isinstance(values, list) or not all(isinstance(value, Decimal) for value in values):
        raise ClaimError(f"{where} must be a list of numbers")
    if len(values) != count:
        raise ClaimError(f"{where} has {len(values)} numbers, but the networks have {count} inputs")
    return values


def _words(document: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    words = document.get(key, [])
    if not isinstance(words, list) or not all(
        isinstance(word, str) and len(word) <= _MAX_NAME and word.isprintable() for word in words
    ):
        raise ClaimError(
            f"{where}: {key} must be a list of printable strings of at most {_MAX_NAME} characters"
        )
    return tuple(words)
