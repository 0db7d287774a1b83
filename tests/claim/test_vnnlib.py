"""The VNN-LIB reader: the files that verifiers use, unions, rounding, and everything malformed."""

import gzip
import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simcert.claim import Region, read_region
from simcert.claim.regions import vnnlib
from simcert.errors import ClaimError

X = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0", "Y_1"))
BOX = "(assert (>= X_0 0))(assert (<= X_0 1))(assert (>= X_1 0))(assert (<= X_1 1))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vnnlib")


def read(folder: Path, text: str, inputs: int = 2) -> Region:
    path = folder / "property.vnnlib"
    path.write_text(text)
    return read_region(path, inputs)


def test_acas_xu_properties(data: Path) -> None:
    properties = json.loads((data / "acasxu" / "properties.json").read_text())["properties"]
    for number, described in properties.items():
        region = read_region(data / "acasxu" / "vnnlib" / f"prop_{number}.vnnlib", 5)
        boxes = np.array(described["input_box_normalised"])
        # The files are rounded to nine decimals.
        np.testing.assert_allclose(region.lower, boxes[..., 0], atol=2e-7)
        np.testing.assert_allclose(region.upper, boxes[..., 1], atol=2e-7)


def test_property_4_has_a_zero_width_input_and_property_6_two_boxes(data: Path) -> None:
    fourth = read_region(data / "acasxu" / "vnnlib" / "prop_4.vnnlib", 5)
    assert (fourth.lower == fourth.upper).tolist() == [[False, False, True, False, False]]
    sixth = read_region(data / "acasxu" / "vnnlib" / "prop_6.vnnlib", 5)
    assert sixth.boxes == 2
    assert sixth.weights == pytest.approx([0.5, 0.5])
    assert sixth.lower[0, 1] > sixth.upper[1, 1]


def test_images_are_read_quickly(data: Path) -> None:
    for path in sorted((data / "vision" / "vnnlib").iterdir()):
        start = time.process_time()
        region = read_region(path, 784 if "mnist" in path.name else 3072)
        assert time.process_time() - start < 1.0
        assert region.boxes == 1
        assert (region.upper > region.lower).all()


def test_wrong_number_of_inputs_names_both_numbers_and_the_file(data: Path) -> None:
    with pytest.raises(ClaimError, match=r"prop_1.vnnlib declares 5 inputs, .*have 784 inputs"):
        read_region(data / "acasxu" / "vnnlib" / "prop_1.vnnlib", 784)


def test_constants_are_rounded_outward(folder: Path) -> None:
    text = (
        X + "(assert (>= X_0 0.1))(assert (<= X_0 0.1))(assert (<= -.5e-1 X_1))(assert (>= 3. X_1))"
    )
    region = read(folder, text)
    assert Fraction(region.lower[0, 0]) < Fraction(1, 10) < Fraction(region.upper[0, 0])
    assert np.nextafter(region.lower[0, 0], 1) == region.upper[0, 0]
    assert region.lower[0, 1] == -0.05 or region.lower[0, 1] == np.nextafter(-0.05, -1)
    assert region.upper[0, 1] == 3.0


def test_the_strongest_bounds_hold(folder: Path) -> None:
    region = read(folder, X + BOX + "(assert (<= X_0 0.5))(assert (and (<= X_0 2) (>= X_0 0.25)))")
    assert (region.lower.tolist(), region.upper.tolist()) == ([[0.25, 0]], [[0.5, 1]])


def test_negative_constants_in_prefix_form(folder: Path) -> None:
    region = read(folder, X + BOX.replace("(>= X_0 0)", "(>= X_0 (- 0.5))"))
    assert region.lower[0, 0] == -0.5


def test_disjunctions_multiply(folder: Path) -> None:
    halves = "(assert (or (<= X_{0} 0.25) (and (>= X_{0} 0.75) (<= X_{0} 1.0))))"
    region = read(folder, X + BOX + halves.format(0) + halves.format(1))
    assert region.boxes == 4
    assert sorted(map(tuple, region.upper.tolist())) == [(0.25, 0.25), (0.25, 1), (1, 0.25), (1, 1)]


def test_mixed_disjunctions_give_the_union_of_input_boxes(folder: Path) -> None:
    text = """(assert (or
        (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1) (<= Y_0 Y_1))
        (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1.0) (>= Y_0 3))
        (and (>= X_0 2) (<= X_0 3) (>= X_1 0) (<= X_1 1) (>= (- 1) Y_0))))"""
    region = read(folder, X + text)
    assert region.lower.tolist() == [[0, 0], [2, 0]]


def test_a_disjunct_on_outputs_alone_restricts_nothing(folder: Path) -> None:
    region = read(folder, X + BOX + "(assert (or (<= Y_0 Y_1) (and (<= X_0 0.5) (<= Y_1 0))))")
    assert region.upper.tolist() == [[1, 1]]


def test_comments_and_compression(folder: Path) -> None:
    path = folder / "property.vnnlib.gz"
    path.write_bytes(gzip.compress(f"; café (\n{X}\n{BOX} ; end".encode()))
    assert read_region(path, 2).boxes == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "declares 0 inputs, but the networks have 2"),
        (X, "X_0 has no lower bound in box 0"),
        (X + BOX.replace("(<= X_1 1)", "(<= Y_0 1)"), "X_1 has no upper bound in box 0"),
        (X + BOX + "(assert (>= X_0 1.5))", r"X_0 is bounded by \[1.5, 1\] in box 0; .*above"),
        (X + BOX + "(assert (or (<= X_0 0.5) (>= X_1 7)))", r"X_1 .*\[7, 1\] in box 1"),
        (X + "\n\n(assert (<= X_2 1))", "line 3: 'X_2' is neither a declared name"),
        (X + "(assert (<= Z 1))", "'Z' is neither"),
        (X + "(assert (<= X_0 1/3))", "'1/3' is neither"),
        (X + "(assert (<= X_0 inf))", "'inf' is neither"),
        (X + "(assert (<= X_0 1e999))", "outside the range of float64"),
        (X + "(assert (<= X_0 X_1))", "an input is compared with another name"),
        (X + "(assert (<= X_0 Y_1))", "an input is compared with another name"),
        (X + "(assert (<= 0 1))", "two constants are compared"),
        (X + "(assert (< X_0 1))", r"\(< X_0 1\) is not understood"),
        (X + "(assert (<= (* X_0 X_1) 1))", r"\(\* X_0 X_1\) is not understood"),
        (X + "(assert (<= (+ X_0 1) 1))", "is not understood"),
        (X + "(assert (<= 0 X_0 1))", "is not understood"),
        (X + "(assert (not (<= X_0 1)))", r"\(not …\) is not understood"),
        (X + "(assert (and))", r"\(and\) is not understood"),
        (X + "(assert (and X_0))", "joins something that is not a comparison"),
        (X + "(assert X_0)", "neither a declaration of a Real nor an assertion"),
        (X + "(assert (- 1))", "neither a declaration"),
        (X + "(check-sat)", r"\(check-sat\) is neither"),
        ("()", r"\(\) is neither"),
        ("(declare-const X_0 Int)", "neither a declaration of a Real"),
        ("(declare-const foo Real)", "'foo' is declared; names are X_0"),
        ("(declare-const X_01 Real)", "'X_01' is declared"),
        ("(declare-const X_1 Real)", "X_1 is declared, but X_0 is not declared before it"),
        ("(declare-const X_0 Real)" * 2, "X_0 is declared twice"),
        ("X_0", "outside of parentheses"),
        (")", "outside of parentheses"),
        (X + "(assert (<= X_0 1)", "1 parentheses are not closed"),
        ("(" * 100, "more than 64 nested parentheses"),
    ],
)
def test_malformed_properties(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        read(folder, text)


def test_the_number_of_boxes_is_bounded(folder: Path) -> None:
    halves = "(assert (or (<= X_0 0.{0}) (>= X_0 0.{0}1)))"
    with pytest.raises(ClaimError, match="is a union of 16384 boxes or more; at most 10000"):
        read(folder, X + BOX + "".join(halves.format(n) for n in range(100, 120)))


def test_the_size_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vnnlib, "MAX_BYTES", 1 << 20)
    bomb = folder / "bomb.vnnlib.gz"
    bomb.write_bytes(gzip.compress(b" " * (4 << 20)))
    with pytest.raises(ClaimError, match="more than 1 MiB"):
        read_region(bomb, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not gzip", "not a gzip file"),
        (gzip.compress(b"(assert", mtime=0)[:-9], "damaged gzip file"),
        (gzip.compress(b"\xff\xfe", mtime=0), "is not text"),
    ],
)
def test_damaged_files(folder: Path, data: bytes, message: str) -> None:
    path = folder / "damaged.vnnlib.gz"
    path.write_bytes(data)
    with pytest.raises(ClaimError, match=message):
        read_region(path, 2)


def test_missing_files_and_folders(folder: Path) -> None:
    with pytest.raises(ClaimError, match="cannot be read: No such file"):
        read_region(folder / "missing.vnnlib", 2)
    (folder / "folder.vnnlib").mkdir()
    with pytest.raises(ClaimError, match="cannot be read"):
        read_region(folder / "folder.vnnlib", 2)


TOKENS = ["(", ")", "assert", "and", "or", "<=", ">=", "-", "X_0", "X_1", "Y_0", "0", "1", "-0.5"]
tokens = st.sampled_from([*TOKENS, *"()()", "1e9", "declare-const", "Real", ";", "\n"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.lists(tokens).map(lambda t: " ".join(t).encode())))
def test_arbitrary_bytes_are_read_or_refused(folder: Path, body: bytes) -> None:
    path = folder / "arbitrary.vnnlib"
    path.write_bytes((X + BOX).encode() + body)
    try:
        region = read_region(path, 2)
    except ClaimError:
        return
    assert (region.lower <= region.upper).all()
