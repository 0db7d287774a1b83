"""Depths of linear functions below their maximum: what the inequalities say, solved for h."""

import numpy as np
import pytest

from simcert.claim import TruncatedNormal
from simcert.integration import bernstein, chernoff, hoeffding
from simcert.integration.half_spaces import HalfSpaces
from simcert.integration.laws import Law, UniformLaw, law_of
from simcert.integration.quantile import QUANTILES, depth

TAILS = {m.__name__.split(".")[-1]: m.tail for m in (chernoff, bernstein, hoeffding)}


def law_for(name: str, shape: tuple[int, int]) -> Law:
    if name == "uniform":
        return UniformLaw(np.ones(shape))
    box = np.zeros(shape), np.ones(shape)
    return law_of(TruncatedNormal(0.5), box, box, np.ones(shape, dtype=bool))


@pytest.mark.parametrize("law", ["uniform", "truncated-normal"])
@pytest.mark.parametrize("inputs", [1, 3, 30, 400])
@pytest.mark.parametrize("method", list(QUANTILES))
def test_a_depth_has_the_probability_that_was_asked_for(method: str, inputs: int, law: str) -> None:
    """What each method promises of h is what it says of h in the other direction."""
    generator = np.random.default_rng(inputs)
    b = 10.0 ** generator.uniform(-6, 3, (20, 1)) * generator.random((20, inputs)) ** 3
    nats = generator.uniform(0.1, 60.0, 20)
    own = law_for(law, b.shape)
    h = depth(b, own, nats, (method,))
    assert (h >= 0.0).all()
    assert (h <= b.sum(axis=1)).all()
    some = h > 0.0
    assert some.any() == (inputs > 3 or method == "chernoff")
    if some.any():
        half_spaces = HalfSpaces.scaled(h[some], b[some], law_for(law, b[some].shape))
        tail = TAILS[method](half_spaces)
        # Each direction is rounded up by a share 2^-45 of exponents of at most a few hundred.
        assert (tail <= np.exp(-nats[some]) * (1 + 1e-9)).all()
        assert method == "chernoff" or (tail >= np.exp(-nats[some]) * (1 - 1e-6)).all()


def test_the_best_method_counts_and_hardly_any_rate_is_better() -> None:
    generator = np.random.default_rng(0)
    b, nats = generator.random((10, 300)), generator.uniform(2.0, 40.0, 10)
    law = UniformLaw(np.ones_like(b))
    best = depth(b, law, nats)
    each = {method: depth(b, law, nats, (method,)) for method in QUANTILES}
    assert (best >= np.maximum.reduce(list(each.values())) * (1 - 1e-12)).all()
    assert (each["chernoff"] > each["bernstein"]).all()
    assert (each["bernstein"] > each["hoeffding"]).all()
    rates = np.geomspace(0.01, 1000.0, 2000)
    for row, cost, h in zip(b, nats, each["chernoff"], strict=True):
        t = rates[:, None] * row
        dense = ((-cost - np.log(-np.expm1(-t) / t).sum(axis=1)) / rates).max()
        fall = b.shape[1] / 4 - dense  # from about the mean
        assert dense >= h * (1 - 1e-5)
        assert h >= dense - 2e-3 * fall


@pytest.mark.parametrize("eta", [0.3, 0.05, 1e-3])
@pytest.mark.parametrize("inputs", [1, 2, 8])
def test_depths_against_exact_volumes(inputs: int, eta: float) -> None:
    """P(Σ b_j U_j ≤ h) itself is at most η: of one input it is h/b, of equal ones Irwin's."""
    b = np.ones((1, inputs))
    h = depth(b, UniformLaw(b), np.array([-np.log(eta)]))[0]
    draws = np.random.default_rng(1).random((400_000, inputs)).sum(axis=1)
    assert (draws <= h).mean() <= eta
    if inputs == 1:
        assert h <= eta


def test_what_nothing_is_known_of_falls_by_nothing() -> None:
    b = np.array([[0.0, 0.0], [np.inf, 1.0], [np.nan, 1.0], [1e-300, 1e-320], [1e308, 1e308]])
    h = depth(b, UniformLaw(np.ones_like(b)), np.full(5, 1.0))
    assert h[:4].tolist() == [0.0] * 4
    assert 0.0 < h[4] <= 2e308 or np.isinf(h[4])


def test_depths_scale_by_powers_of_two() -> None:
    b = np.random.default_rng(2).random((3, 50))
    law, nats = UniformLaw(np.ones_like(b)), np.full(3, 10.0)
    assert (depth(b * 2.0**-200, law, nats) == depth(b, law, nats) * 2.0**-200).all()
