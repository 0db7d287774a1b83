"""Malformed certificates are refused, never a crash and never a pass."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from certificates import Certified, resealed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simcert.checker import CheckError, document, schema

SETTINGS = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([[], {}, "0x1.0p+0", "0x1.0000000000000p+0", "nan", "AAAA", "proved", 0, -1]),
    st.lists(st.integers(-3, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@SETTINGS
@given(st.binary(max_size=200))
def test_bytes(data: bytes) -> None:
    try:
        document.parse(data)
    except CheckError:
        return
    assert isinstance(json.loads(data), dict)


@SETTINGS
@given(st.recursive(ODD, lambda child: st.dictionaries(st.text(max_size=4), child, max_size=3)))
def test_documents(value: Any) -> None:
    try:
        schema.check(value, schema.load())
    except CheckError:
        return
    raise AssertionError("this is no certificate")


@SETTINGS
@given(st.data())
def test_fields(certified: Certified, tmp_path: Path, data: st.DataObject) -> None:
    """Any value anywhere, with the digests made anew: refused, or what it says is still shown."""
    statement = certified.statement
    owner: Any = statement["predicate"]
    while True:
        keys = list(owner) if isinstance(owner, dict) else list(range(len(owner)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(owner[key], dict | list) or not owner[key] or data.draw(st.booleans()):
            break
        owner = owner[key]
    owner[key] = data.draw(ODD)
    path = tmp_path / "odd.json"
    try:
        path.write_text(json.dumps(resealed(statement)))
    except (KeyError, TypeError, ValueError, AttributeError):
        path.write_text(json.dumps(statement))
    report = certified.check(path)
    assert report.steps
    if report.holds:
        assert "with confidence 0.999" in report.claim


def test_bytes_of_a_certificate(certified: Certified, tmp_path: Path) -> None:
    data = certified.path.read_bytes()
    generator = np.random.default_rng(0)
    path = tmp_path / "bytes.json"
    for _ in range(200):
        changed = bytearray(data)
        place = int(generator.integers(len(changed)))
        changed[place] ^= 1 << int(generator.integers(8))
        if bytes(changed).split() == data.split():
            continue
        path.write_bytes(changed)
        report = certified.check(path)
        assert not report.holds or json.loads(changed) == certified.statement
