"""A dynamic quantiser has one scale for a whole tensor: no element can be looked at alone."""

import numpy as np
import torch

from simcert.bounds.interval import Interval, Triple
from simcert.bounds.univariate import UnivariateDualRule, UnivariateRule
from simcert.functions import DynamicQuantizer, Function, Identity


def difference(f: Function, g: Function, a: Interval, b: Interval, delta: Interval) -> Interval:
    rules = UnivariateRule(f), UnivariateRule(g)
    strips = [rule.forward([x])[1] for rule, x in zip(rules, (a, b), strict=True)]
    return UnivariateDualRule(*rules).forward([Triple(a, b, delta)], *strips)[0]


def point(values: list[float]) -> Interval:
    return Interval(*(torch.tensor([values], dtype=torch.float64) for _ in range(2)))


def test_the_step_is_that_of_the_whole_range() -> None:
    """Of either side of 0 alone it would be half as large."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        x = generator.uniform(-1, 1, 40)
        a = point([-1.0, 1.0, *x])
        zero = point([0.0] * 42)
        found = difference(Identity(), DynamicQuantizer(), a, a, zero)
        true = a.lower - DynamicQuantizer().value(a.lower)
        assert (found.lower <= true).all()
        assert (true <= found.upper).all()


def test_an_equal_element_differs_where_another_one_does() -> None:
    a, b = point([0.5, 3.0]), point([0.5, 2.0])
    found = difference(DynamicQuantizer(), DynamicQuantizer(), a, b, a.minus(b))
    true = DynamicQuantizer().value(a.lower) - DynamicQuantizer().value(b.lower)
    assert float(true[0, 0]) != 0.0  # the test can fail
    assert (found.lower <= true).all()
    assert (true <= found.upper).all()
