"""The schema in the package, and the two validators that read it."""

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from simcert import verify
from simcert.certificate import build, schema, write
from simcert.checker import CheckError
from simcert.checker import schema as checkers
from simcert.claim import Claim, Region

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "advisory.onnx"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def statement() -> dict[str, Any]:
    region = Region.from_boxes([[0.0] * 5], [[0.1] * 5], source="a corner")
    result = verify(EXAMPLE, EXAMPLE, Claim(region, tolerance=0.01, max_violation=0.1))
    return build(result, NOW, ["simcert", "verify", "a", "b"])


def test_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_every_object_is_closed() -> None:
    """A key that the schema does not know is refused, except where names are the keys."""
    opened = [
        name
        for name, rule in schema()["$defs"].items()
        if rule.get("type") == "object" and rule.get("additionalProperties") is not False
    ]
    assert opened == ["step"]


def test_both_validators_accept(statement: dict[str, Any]) -> None:
    jsonschema.validate(statement, schema())
    checkers.check(statement, checkers.load())


def test_both_validators_refuse_the_same(statement: dict[str, Any]) -> None:
    def places(value: Any, path: tuple[Any, ...] = ()) -> Any:
        if path:
            yield path
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in pairs:
            if isinstance(child, dict | list):
                yield from places(child, (*path, key))
            else:
                yield (*path, key)

    own = checkers.load()
    validator = jsonschema.Draft202012Validator(own)
    for path in places(statement):
        for odd in (None, "x", -1, [], {"x": 1}, True):
            changed = copy.deepcopy(statement)
            owner = changed
            for key in path[:-1]:
                owner = owner[key]
            owner[path[-1]] = odd
            try:
                checkers.check(changed, own)
                accepted = True
            except CheckError:
                accepted = False
            assert accepted == validator.is_valid(changed), (path, odd)


def test_a_keyword_that_is_not_known_is_an_error() -> None:
    with pytest.raises(CheckError, match="maxLength"):
        checkers.check("x", {"maxLength": 3})


def test_what_breaks_the_schema_is_not_written(statement: dict[str, Any], tmp_path: Path) -> None:
    broken = copy.deepcopy(statement)
    broken["predicate"]["guarantee"]["kind"] = "likely"
    with pytest.raises(jsonschema.ValidationError):
        write(broken, tmp_path / "certificate.json")
    assert not list(tmp_path.iterdir())


def test_large_evidence_lies_beside(statement: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    assert write(statement, path) is None
    beside = write(statement, path, largest_inside=10)
    assert beside == tmp_path / "certificate.json.evidence.json"
    assert beside.is_file()
