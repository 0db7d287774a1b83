"""The reader of VNN-LIB 2.0: what it reads, and what it refuses."""

import gzip
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simcert.claim.vnnlib2 import Query, read_query
from simcert.claim.vnnlib2.interval import Interval
from simcert.errors import ClaimError

VERSION = "(vnnlib-version <2.0>)"
ONE = f"{VERSION}(declare-network f (declare-input X real [2])(declare-output Y real [1,2]))"
TWO = (
    f"{ONE}(declare-network g (isomorphic-to f)(declare-input U real [2])"
    "(declare-output V real [1,2]))(assert (== X[0] U[0]))(assert (== U[1] X[1]))"
)
BOX = "(assert (and (>= X[0] 0) (<= X[0] 1)))(assert (>= X[1] -1))(assert (<= X[1] 0.1))"


def read(folder: Path, text: str) -> Query:
    path = folder / "query.vnnlib"
    path.write_text(text)
    return read_query(path)


def test_two_networks(tmp_path: Path) -> None:
    query = read(tmp_path, TWO + BOX + "(assert (or (> V[0, 1] (+ Y[0,1] 0.05)) (< V[0,0] 3)))")
    assert [(n.name, n.relation, n.other) for n in query.networks] == [
        ("f", "", ""),
        ("g", "isomorphic-to", "f"),
    ]
    [case] = query.cases
    assert case.boxes == (
        (Interval(Fraction(0), Fraction(1)), Interval(Fraction(-1), Fraction(1, 10))),
    )
    assert len(case.conjunctions) == 2
    region = case.region("query")
    assert region.lower.tolist() == [[0.0, -1.0]]
    assert region.upper[0, 0] == 1.0
    assert Fraction(region.upper[0, 1]) >= Fraction(1, 10)


def test_what_is_joined_with_different_boxes_stays_with_them(tmp_path: Path) -> None:
    query = read(
        tmp_path,
        ONE + BOX + "(assert (or (and (<= X[0] 0.25) (> Y[0,0] 1)) (and (>= X[0] 0.5)"
        "(> Y[0,1] 2)) (and (>= X[0] 0.5) (< Y[0,1] 0))))",
    )
    found = {case.boxes[0][0]: len(case.conjunctions) for case in query.cases}
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    assert found == {Interval(Fraction(0), quarter): 1, Interval(half, Fraction(1)): 2}


def test_comments_gzip_and_spaces(tmp_path: Path) -> None:
    path = tmp_path / "query.vnnlib.gz"
    text = ONE.replace("[1,2]", "[ 1 , 2 ]") + BOX + "; (nothing\n( assert (!= Y[0,0]\n 1) )"
    path.write_bytes(gzip.compress(text.encode()))
    [case] = read_query(path).cases
    assert len(case.conjunctions) == 2  # above and below


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no network is declared"),
        (ONE[len(VERSION) :], "begins with"),
        (ONE.replace("2.0", "3.0"), "not supported"),
        (ONE, "nothing is asserted"),
        (VERSION + BOX, "neither a declared variable"),
        (ONE + BOX.replace("(assert (<= X[1] 0.1))", ""), r"X\[1\] has no upper bound"),
        (ONE + BOX + "(assert (<= X[0] -1))", "no input satisfies"),
        (ONE + BOX + "(assert (< X[0] 0))", "no input satisfies"),
        (ONE + BOX + "(assert (or))", "not supported"),
        (ONE + BOX + "(assert (not (<= Y[0,0] 1)))", "not supported"),
        (ONE + BOX + "(assert (=> (<= Y[0,0] 1) (<= Y[0,0] 1)))", "not supported"),
        (ONE + BOX + "(assert (<= (* Y[0,0] Y[0,1]) 1))", "multiplies variables"),
        (ONE + BOX + "(assert (<= (* Y[0,0] X[0]) 1))", "multiplies variables"),
        (ONE + BOX + "(assert (<= Y[0,0] X[0]))", "outputs are compared with inputs"),
        (ONE + BOX + "(assert (<= X[1] X[0]))", "inputs are compared with each other"),
        (ONE + BOX + "(assert (<= 0 1))", "compares two constants"),
        (ONE + BOX + "(assert (<= Y[0,0]))", "does not compare two numbers"),
        (ONE + BOX + "(assert (<= Y[0,0] 1 2))", "does not compare two numbers"),
        (ONE + BOX + "(assert (<= Y[0,2] 1))", "outside of"),
        (ONE + BOX + "(assert (<= Y[0] 1))", "outside of"),
        (ONE + BOX + "(assert (<= Y 1))", "outside of"),
        (ONE + BOX + "(assert (<= Z[0] 1))", "neither a declared variable nor a number"),
        (ONE + BOX + "(assert (<= Y[0,0] nan))", "neither a declared variable nor a number"),
        (ONE + BOX + "(assert (<= Y[0,0] 1e999))", "outside the range"),
        (ONE + BOX + "(assert (<= Y[0,0] 1e-99999))", "too close to 0"),
        (ONE + BOX + "(assert (<= (+ Y[0,0]) 1))", "too few operands"),
        (ONE + BOX + "(assert Y)", "neither a declaration"),
        (ONE + BOX + "(check-sat)", "neither a declaration"),
        (ONE + BOX + "(assert (<= Y[0,0] 1)", "not closed"),
        (ONE + BOX + "(assert (<= Y[0,0 1))", "not closed"),
        (ONE + BOX + "(assert (<= Y[0,0]] 1))", "neither a declared"),
        (ONE + BOX + ")", "outside of parentheses"),
        (ONE + BOX + "(assert " + "(and " * 70, "nested parentheses"),
        (ONE + BOX + "(declare-network g (declare-input U real [2]))", "neither a declaration"),
        (ONE.replace("X real", "X int8") + BOX, "element type 'int8'"),
        (ONE.replace("[1,2]", "[1,-2]") + BOX, "no list of sizes"),
        (ONE.replace("[1,2]", "[1,0]") + BOX, "shape"),
        (ONE.replace("[1,2]", "[9999999]") + BOX, "more than"),
        (ONE.replace("declare-output Y", "declare-output X") + BOX, "declared twice"),
        (ONE.replace("Y real [1,2]", 'Y real [1,2] "y"') + BOX, "not supported"),
        (
            ONE.replace("(declare-output", '(declare-hidden H real [1] "h")(declare-output'),
            "not supported",
        ),
        (ONE.replace("[2])", "[2] initialized)"), "not supported"),
        (TWO.replace("(assert (== X[0] U[0]))", "") + BOX, "not asserted to be equal"),
        (TWO.replace("(== X[0] U[0])", "(>= X[0] U[0])") + BOX, "not asserted to be equal"),
        (TWO.replace("(== X[0] U[0])", "(== X[1] U[0])") + BOX, "not asserted to be equal"),
        (TWO.replace("(== X[0] U[0])", "(== X[0] (+ U[0] 1))") + BOX, "not asserted to be equal"),
        (
            TWO.replace("(== X[0] U[0])", "(or (== X[0] U[0]) (> Y[0,0] 1))") + BOX,
            "not asserted to be equal",
        ),
        (TWO.replace("(isomorphic-to f)", "(isomorphic-to h)"), "no such network"),
        (TWO.replace("(isomorphic-to f)", "(isomorphic-to f)" * 2), "at most one relation"),
        (TWO.replace("U real [2]", "U real [1,2]"), "other shapes"),
        (
            TWO.replace("isomorphic-to", "equal-to").replace("U real", "U float32"),
            "other types",
        ),
        (
            ONE
            + ONE[len(VERSION) :].replace("f", "g").replace("X", "A").replace("Y", "B")
            + ONE[len(VERSION) :].replace("f", "h").replace("X", "C").replace("Y", "D"),
            "more than two networks",
        ),
    ],
)
def test_what_is_not_understood_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        read(tmp_path, text)


def test_the_normal_form_is_limited(tmp_path: Path) -> None:
    many = "(assert (or (> Y[0,0] 1) (< Y[0,0] 0)))"
    assert len(read(tmp_path, ONE + BOX + many * 2).cases[0].conjunctions) == 3
    choices = "".join(f"(assert (or (> Y[0,0] {i}) (< Y[0,1] -{i})))" for i in range(64))
    with pytest.raises(ClaimError, match="more than 10000 cases"):
        read(tmp_path, ONE + BOX + choices)


def test_numbers_do_not_grow_without_end(tmp_path: Path) -> None:
    product = "(* " + " ".join(["1e300"] * 100) + " Y[0,0])"
    with pytest.raises(ClaimError, match="too many digits"):
        read(tmp_path, ONE + BOX + f"(assert (<= {product} 1))")
    with pytest.raises(ClaimError, match="fewer digits"):
        read(
            tmp_path, ONE + BOX + "(assert (<= (+ (* 1.2345678901234567891 Y[0,0]) Y[0,1]) 1))"
        ).cases[0].condition(2)


COMPARISONS = {
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
NUMBERS = ["0", "-1", "0.5", "(- 0.1)", "1e-3"]
VALUES = {"0": "0", "-1": "-1", "0.5": "0.5", "(- 0.1)": "-0.1", "1e-3": "0.001"}


@st.composite
def atoms(draw: st.DrawFn) -> tuple[str, object]:
    """A comparison of outputs and what it means."""
    sign = draw(st.sampled_from(sorted(COMPARISONS)))
    i, j = draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
    number, factor = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(["2", "-0.1", "3"]))
    text = f"({sign} (- (* {factor} Y[0,{i}]) V[0,{j}] {number}) (+ V[0,0] 0.25 {number}))"

    def holds(f: list[Fraction], g: list[Fraction]) -> bool:
        constant = Fraction(VALUES[number])
        return COMPARISONS[sign](
            Fraction(factor) * f[i] - g[j] - constant, g[0] + Fraction(1, 4) + constant
        )

    return text, holds


FORMULAS = st.recursive(
    atoms(),
    lambda inner: st.tuples(
        st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def text_of(formula: tuple) -> str:
    head, rest = formula
    if head in ("and", "or"):
        return f"({head} {' '.join(map(text_of, rest))})"
    return head


def holds(formula: tuple, f: list[Fraction], g: list[Fraction]) -> bool:
    head, rest = formula
    if head in ("and", "or"):
        return (all if head == "and" else any)(holds(part, f, g) for part in rest)
    return rest(f, g)


@settings(max_examples=150, deadline=None)
@given(formula=FORMULAS, seed=st.integers(0, 2**32 - 1))
def test_cases_and_bounds_mean_what_the_formula_means(
    tmp_path_factory: pytest.TempPathFactory, formula: tuple, seed: int
) -> None:
    """On outputs, exactly; on intervals of the functions, in the safe direction."""
    query = read(tmp_path_factory.getbasetemp(), TWO + BOX + f"(assert {text_of(formula)})")
    generator = np.random.default_rng(seed)
    grid = [-0.5, -0.1, 0.0, 0.125, 0.25, 0.5, 1.0]
    for case in query.cases:
        condition = case.condition(2)
        rows = condition.functions
        for outputs in itertools.islice(generator.choice(grid, (12, 4)), 12):
            f, g = outputs[:2], outputs[2:]
            exact = [Fraction(v) for v in outputs.tolist()]
            expected = holds(formula, exact[:2], exact[2:])
            assert case.holds(np.zeros(2), 0, f, g) == expected
            value = rows.f @ f + rows.g @ g + rows.difference @ (f - g)
            # At least the rounding of value.
            width = 1e-12 + generator.random(len(value)) * generator.choice([1e-12, 0.1, 1.0])
            lower, upper = (value - width)[None], (value + width)[None]
            if expected:
                assert condition.upper(lower, upper)[0] > 0
            if condition.lower(lower, upper)[0] > 0:
                assert expected
