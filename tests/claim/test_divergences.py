"""Divergences: values, and that bounds of their rows give bounds of them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from simcert.claim.divergences import (
    DIVERGENCES,
    JS,
    KL,
    L1,
    L2,
    Divergence,
    Group,
    Groups,
    LInf,
    PerOutput,
    Relative,
    Selected,
    Top1,
    Top1Confident,
    TopK,
    parse,
)
from simcert.claim.divergences.js import LN_2
from simcert.errors import ClaimError

ALL = [
    LInf(),
    L1(),
    L2(),
    KL(),
    JS(),
    Top1("argmax"),
    Top1("argmin"),
    TopK("argmax", 2),
    TopK("argmin", 3),
    Top1Confident("argmax", 0.0),
    Top1Confident("argmax", 0.5),
    Top1Confident("argmin", 0.5),
    Selected(LInf(), (0, 2)),
    Selected(Top1("argmin"), (1, 2, 4)),
    Relative(0.25),
    Relative(1.5),
    PerOutput(((tuple(range(5)), 0.5),)),
    PerOutput.of((0.5, 0.125, 3.0)),
    Groups((Group((0, 3), L2(), 0.3), Group((1, 2), L1(), 2.0))),
]


def spread(outputs: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points of a random polytope of pairs (f, g), all at one scale."""
    points = 50
    f = generator.normal(size=outputs) + generator.choice([0.02, 0.3, 2]) * generator.normal(
        size=(points, outputs)
    )
    g = f + generator.choice([0, 0.01, 0.3, 2]) * generator.normal(size=(points, outputs))
    grid = generator.choice([8.0, 2.0**20])  # all sums of the test are exact
    # On the coarse grid there are ties.
    return np.round(f * grid) / grid, np.round(g * grid) / grid


def bounds_over(divergence: Divergence, f: np.ndarray, g: np.ndarray) -> tuple[Any, Any]:
    """The exact range of the rows over the points, as one box."""
    rows = divergence.rows(f.shape[1])
    values = f @ rows.f.T + g @ rows.g.T + (f - g) @ rows.difference.T
    return values.min(axis=0), values.max(axis=0)


@pytest.mark.parametrize("divergence", ALL, ids=str)
def test_bounds_contain_every_point(divergence: Divergence) -> None:
    generator = np.random.default_rng(11)
    tight_upper = tight_lower = 0
    for _ in range(300):
        f, g = spread(5, generator)
        count = int(generator.choice([1, 2, 5, 50]))
        f, g = f[:count], g[:count]
        low, high = bounds_over(divergence, f, g)
        values = divergence.evaluate(f, g)
        lower = divergence.lower(low[np.newaxis], high[np.newaxis])
        upper = divergence.upper(low[np.newaxis], high[np.newaxis])
        assert lower.shape == upper.shape == (1,)
        assert (values <= upper[0] + 1e-12 * (divergence.unit == "nats")).all()
        assert (lower[0] <= values).all()
        assert 0 <= lower[0] <= upper[0]
        tight_upper += upper[0] <= values.max() * 1.01
        tight_lower += lower[0] > 0
    assert tight_upper or divergence.unit == "nats"
    assert tight_lower or divergence.unit == "nats"


@pytest.mark.parametrize("divergence", ALL, ids=str)
def test_equal_networks_are_proved_equal(divergence: Divergence) -> None:
    """With δ = 0 everywhere, whatever f does."""
    rows = divergence.rows(6)
    moves = np.abs(rows.f) + np.abs(rows.g)
    wide = np.where(moves.any(axis=1), 5.0, 0.0)[np.newaxis]
    assert divergence.upper(-wide, wide)[0] == 0


@pytest.mark.parametrize("divergence", ALL, ids=str)
def test_unknown_bounds_prove_nothing(divergence: Divergence) -> None:
    rows = len(divergence.rows(6).f)
    supremum = divergence.range(6)
    for low, high in ((np.nan, np.nan), (-np.inf, np.inf), (1.0, -1.0)):
        lower, upper = np.full((2, rows), low), np.full((2, rows), high)
        assert (divergence.upper(lower, upper) == supremum).all()
        assert (divergence.lower(lower, upper) == 0).all()


@pytest.mark.parametrize("divergence", ALL, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_no_numbers_never_agree(divergence: Divergence, bad: float) -> None:
    good, broken = np.zeros((3, 5)), np.zeros((3, 5))
    broken[1, 2] = bad
    for f, g in ((good, broken), (broken, good), (broken, broken)):
        assert divergence.evaluate(f, g)[1] == divergence.range(5)
        assert divergence.evaluate(f, g)[0] == 0


@pytest.mark.parametrize("divergence", ALL, ids=str)
@pytest.mark.parametrize("scale", [1e-320, 1e-160, 1e160, 1e307])
def test_extreme_outputs_neither_warn_nor_agree_falsely(
    divergence: Divergence, scale: float
) -> None:
    f = scale * np.array([[1.0, 2, 3, 4, 5]])
    values = divergence.evaluate(f, -f)
    assert (values >= 0).all()
    if divergence.unit == "output units":
        assert (values > 0).all()
        rows = divergence.rows(5)
        exact = f @ rows.f.T - f @ rows.g.T + (2 * f) @ rows.difference.T
        assert (divergence.lower(exact, exact) <= values).all()
        assert (values <= divergence.upper(exact, exact)).all()


def test_norms() -> None:
    f, g = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[4.0, -2.0], [0.0, 0.0]])
    assert LInf().evaluate(f, g).tolist() == [4, 0]
    assert L1().evaluate(f, g).tolist() == [7, 0]
    assert L2().evaluate(f, g).tolist() == [5, 0]
    assert LInf().per_output(np.array([0.5, 0.25])) == (0.5, 0.25)
    assert Top1().per_output(np.array([0.5, 0.25])) == ()


@pytest.mark.parametrize("norm", [LInf(), L1(), L2()], ids=str)
def test_bounds_of_norms(norm: Divergence) -> None:
    lower, upper = np.array([[-3.0, 4.0], [-1.0, -1.0]]), np.array([[-3.0, 4.0], [1.0, 1.0]])
    exact = {"linf": [4, 1], "l1": [7, 2], "l2": [5, 2**0.5]}[norm.name]
    assert norm.upper(lower, upper) == pytest.approx(exact, rel=1e-14)
    assert (norm.upper(lower, upper)[0] >= exact[0]) & (norm.lower(lower, upper)[0] <= exact[0])
    assert norm.lower(lower, upper) == pytest.approx([exact[0], 0], rel=1e-14)


def test_ties_go_to_the_first_index() -> None:
    f, g = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0]])
    assert Top1("argmax").evaluate(f, g) == [0]
    assert Top1("argmax").evaluate(f, np.array([[0.0, 1.0, 0.0]])) == [1]
    assert Top1("argmin").evaluate(g, np.array([[3.0, 0.0, 0.0]])) == [0]
    assert TopK("argmax", 2).evaluate(np.array([[5.0, 1, 1]]), np.array([[1.0, 5, 1]])) == [0]
    assert TopK("argmax", 2).evaluate(np.array([[5.0, 1, 1]]), np.array([[1.0, 1, 5]])) == [1]
    exact = np.array([[0.0, 1.0, 1.0]])  # f_0 = f_1 > f_2: with bounds, too, 0 is chosen
    rows = np.hstack([exact, exact, np.zeros((1, 3))])
    assert Top1("argmax").upper(rows, rows) == [0]


small = st.integers(0, 2).map(float)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(small, small), min_size=4, max_size=4),
    st.sampled_from(["argmax", "argmin"]),
    st.integers(1, 3),
)
def test_bounds_at_one_point_decide_rankings(
    outputs: list[tuple[float, float]], decision: str, k: int
) -> None:
    """On a box that is one point nothing is left open, ties included."""
    f, g = (np.array([column]) for column in zip(*outputs, strict=True))
    for divergence in (TopK(decision, k), Top1(decision), Top1Confident(decision, 1.0)):
        rows = divergence.rows(4)
        exact = f @ rows.f.T + g @ rows.g.T + (f - g) @ rows.difference.T
        value = divergence.evaluate(f, g)
        assert divergence.upper(exact, exact) == value
        assert divergence.lower(exact, exact) == value


def test_top1_is_numpy() -> None:
    generator = np.random.default_rng(0)
    f, g = generator.integers(0, 4, (2, 1000, 6)).astype(float)
    assert (Top1("argmax").evaluate(f, g) == (f.argmax(1) != g.argmax(1))).all()
    assert (Top1("argmin").evaluate(f, g) == (f.argmin(1) != g.argmin(1))).all()


def test_disjoint_choices_are_certainly_different() -> None:
    """f chooses 0 or 1, g chooses 2 or 3: no class is certain, the disagreement is."""
    pairs = {(0, 1): 0, (0, 2): 1, (0, 3): 1, (1, 2): 1, (1, 3): 1, (2, 3): 0}
    sign = np.array(list(pairs.values()), dtype=float)
    low = np.concatenate([np.where(sign == 0, -1.0, 0.5), np.where(sign == 0, -1.0, -3), [-9] * 6])
    high = np.concatenate([np.where(sign == 0, 1.0, 3), np.where(sign == 0, 1.0, -0.5), [9] * 6])
    assert Top1().lower(low[np.newaxis], high[np.newaxis]) == [1]
    assert Top1().upper(low[np.newaxis], high[np.newaxis]) == [1]


def test_small_differences_prove_confident_decisions() -> None:
    """Nothing known of f or g, but δ_i − δ_j below the lead."""
    wide = np.full((1, 30), 100.0)
    close = np.concatenate([wide, np.full((1, 15), 0.4)], axis=1)
    close_half = np.concatenate([wide, np.full((1, 15), 0.5)], axis=1)
    assert Top1Confident(delta=0.5).upper(-close, close) == [0]
    assert Top1Confident(delta=0.5).upper(-close_half, close_half) == [1]
    assert Top1().upper(-close, close) == [1]


def test_confident_decisions() -> None:
    f = np.array([[1.0, 0.0], [0.4, 0.0], [0.0, 0.5]])
    g = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert Top1Confident("argmax", 0.5).evaluate(f, g).tolist() == [1, 0, 1]
    assert Top1Confident("argmin", 0.5).evaluate(-f, -g).tolist() == [1, 0, 1]


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=2, max_size=6),
    st.sampled_from([1e-3, 0.1, 1.0]),
)
def test_softmax_divergences_against_their_bounds(
    logits: list[tuple[float, float]], size: float
) -> None:
    f = np.array([[a for a, _ in logits]])
    g = f + size * np.array([[b for _, b in logits]])
    delta = f - g
    osc = float(np.ptp(delta))
    kl, js = KL().evaluate(f, g)[0], JS().evaluate(f, g)[0]
    assert 0 <= kl <= min(osc, osc**2 / 8) + 1e-13 * (1 + np.abs(f).max() + np.abs(g).max())
    assert 0 <= js <= min(LN_2, osc, osc**2 / 16) + 1e-13 * (1 + np.abs(f).max() + np.abs(g).max())
    p, q = special.softmax(f), special.softmax(g)
    assert kl == pytest.approx(special.rel_entr(p, q).sum(), rel=1e-9, abs=1e-12)
    m = (p + q) / 2
    half = (special.rel_entr(p, m).sum() + special.rel_entr(q, m).sum()) / 2
    assert js == pytest.approx(half, rel=1e-9, abs=1e-12)


def test_softmax_bounds_are_nearly_attained() -> None:
    """Two classes of equal probability: KL and JS approach their quadratic bounds."""
    f, g = np.array([[0.05, -0.05]]), np.array([[-0.05, 0.05]])
    osc = np.array([[0.2]])
    assert KL().evaluate(f, g)[0] / KL().upper(-osc, osc)[0] > 0.99
    assert JS().evaluate(f, g)[0] / JS().upper(-osc, osc)[0] > 0.49


def test_log_2_is_rounded_up() -> None:
    far = np.array([[100.0, 0.0]])
    assert JS().evaluate(far, far[:, ::-1])[0] == pytest.approx(LN_2)
    assert np.log(2) < LN_2
    assert JS().upper(np.array([[-50.0]]), np.array([[50.0]])) == [LN_2]


def test_selected_outputs() -> None:
    f, g = np.array([[1.0, 2.0, np.nan]]), np.array([[1.5, 9.0, 0.0]])
    divergence = Selected(LInf(), (0,))
    assert divergence.evaluate(f, g) == [0.5]
    rows = divergence.rows(3)
    assert rows.difference.tolist() == [[1, 0, 0]]
    assert rows.f.tolist() == rows.g.tolist() == [[0, 0, 0]]
    assert divergence.columns(3) == (0,)
    assert LInf().columns(3) == (0, 1, 2)
    assert (divergence.name, divergence.unit, divergence.decision) == ("linf", "output units", None)
    assert Selected(Top1("argmin"), (0, 1)).decision == "argmin"


@pytest.mark.parametrize(
    "divergence", [d for d in ALL if isinstance(d, Groups | Relative)], ids=str
)
def test_tolerances_are_read_as_they_are_written(divergence: Divergence) -> None:
    again = parse(divergence.spec)
    assert again == divergence or isinstance(divergence, PerOutput)
    generator = np.random.default_rng(5)
    f, g = generator.normal(size=(2, 20, 5))
    assert np.array_equal(again.evaluate(f, g), divergence.evaluate(f, g))


def test_values_of_tolerances() -> None:
    f = np.array([[1.0, -2.0, 0.0, 4.0]])
    g = np.array([[1.5, -2.0, 0.25, 1.0]])
    assert parse("per-output:0=0.5,2-3=6").evaluate(f, g).tolist() == [1.0]
    assert parse("groups:0+2=l1/0.25,3=l2/4").evaluate(f, g).tolist() == [3.0]
    assert parse("relative:share=0.5").evaluate(f, g).tolist() == [1.0]
    g[0, 1] = np.nan  # an output that is not compared
    assert parse("per-output:0=0.5,2-3=6").evaluate(f, g).tolist() == [1.0]


def test_relative_bounds_lose_nothing_where_the_sign_is_known() -> None:
    divergence = Relative(0.1)
    f, g = np.array([[10.0], [12.0]]), np.array([[10.5], [12.5]])
    low, high = bounds_over(divergence, f, g)
    assert divergence.upper(low[None], high[None]) == 0.0
    f = np.array([[-1.0], [1.0]])  # of unknown sign, nothing is allowed but δ itself
    low, high = bounds_over(divergence, f, f + 0.5)
    assert divergence.upper(low[None], high[None]) == 0.5


def test_parse() -> None:
    assert parse("linf") == LInf()
    assert parse("topk") == TopK("argmax", 5)
    assert parse("topk:k=3", decision="argmin") == TopK("argmin", 3)
    assert parse("top1-confident:delta=0.25") == Top1Confident("argmax", 0.25)
    assert parse("linf", outputs=[3, 0]) == Selected(LInf(), (0, 3))
    for divergence in ALL:
        selected = divergence.outputs if isinstance(divergence, Selected) else None
        assert parse(divergence.spec, selected, divergence.decision or "argmax") == divergence


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("cosine",),
            "unknown divergence 'cosine'; known: groups, js, kl, l1, l2, linf, per-output",
        ),
        (("relative",), "relative needs a value: write relative:share=VALUE"),
        (("relative:share=0",), "must be positive and finite"),
        (("relative:share=nan",), "must be positive and finite"),
        (("per-output",), "write per-output:OUTPUTS=TOLERANCE"),
        (("per-output:x=1",), "'x' names no outputs"),
        (("per-output:0-2=1,2=3",), "each output belongs to one group"),
        (("per-output:2-0=1",), "outputs 2-0 are none"),
        (("per-output:0=0",), "the tolerance of outputs 0 must be positive"),
        (("per-output:0=1", [0]), "says itself which outputs are compared"),
        (("groups:0=1",), "write OUTPUTS=NORM/TOLERANCE"),
        (("groups:0=max/1",), "write OUTPUTS=NORM/TOLERANCE"),
        (("groups:0=l1/x",), "'x' is not a number"),
        (("groups:0+1+0=l1/1",), "names an output twice"),
        (("linf:k=3",), "linf has no option 'k'; it has none"),
        (("topk:k=2.5",), "k=2.5 is not a whole number"),
        (("topk:k=inf",), "k=inf is not a whole number"),
        (("topk:k=nan",), "k=nan is not a whole number"),
        (("topk:k=0",), "k=0 must be at least 1"),
        (("top1-confident",), "top1-confident needs a value: write top1-confident:delta=VALUE"),
        (("top1-confident:delta=-1",), "delta=-1.0 must be finite and not negative"),
        (("top1-confident:delta=nan",), "must be finite"),
        (("top1", None, "median"), "unknown decision 'median'; known: argmax, argmin"),
        (("linf", []), "give indices from 0 on"),
        (("linf", [-1, 2]), "give indices from 0 on"),
        (("linf", [2, 2]), "in increasing order"),
    ],
)
def test_other_names(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        parse(*arguments)


@pytest.mark.parametrize(
    ("divergence", "outputs", "message"),
    [
        (LInf(), 0, "linf of 0 outputs is always 0; it needs at least 1"),
        (Top1(), 1, "top1 of 1 outputs is always 0; it needs at least 2"),
        (KL(), 1, "it needs at least 2"),
        (TopK("argmax", 5), 5, "topk of 5 outputs is always 0; it needs at least 6"),
        (
            Selected(LInf(), (0, 7)),
            5,
            "output 7 was selected, but the networks have 5 outputs, 0 to 4",
        ),
        (Selected(Top1(), (3,)), 5, "top1 of 1 outputs"),
        (PerOutput(((tuple(range(6)), 1.0),)), 5, "there is no output 5"),
        (Top1(), 1000, "pairs of 1000 outputs .*select some outputs, or sample"),
        (KL(), 129, "pairs of 129 outputs"),
    ],
)
def test_numbers_of_outputs(divergence: Divergence, outputs: int, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        divergence.rows(outputs)


def test_many_outputs_can_still_be_sampled() -> None:
    f = np.random.default_rng(0).normal(size=(4, 1000))
    for divergence in (Top1(), TopK(), KL(), JS(), Top1Confident(delta=0.1)):
        divergence.check(1000)
        assert divergence.evaluate(f, f) == pytest.approx(0)


def test_registry_is_complete() -> None:
    assert {divergence.name for divergence in ALL} == set(DIVERGENCES)
