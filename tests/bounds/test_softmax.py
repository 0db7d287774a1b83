"""The difference of two softmaxes is bounded by the difference of what they read."""

import torch

from simcert.bounds.interval import Interval, Triple
from simcert.bounds.softmax import softmax_difference


def test_contains_every_difference_and_is_tight() -> None:
    generator = torch.Generator().manual_seed(0)
    groups = torch.tensor([[0, 2, 4], [1, 3, 5]])
    for _ in range(300):
        centre = 10.0 ** float(torch.rand(1, generator=generator) * 4 - 2)
        low = (torch.rand(4, 6, generator=generator, dtype=torch.float64) - 0.5) * centre
        width = torch.rand(4, 6, generator=generator, dtype=torch.float64) * centre * 0.1
        reach = torch.rand(4, 6, generator=generator, dtype=torch.float64) * 0.05
        delta = Interval(-reach, reach)
        a = Interval(low, low + width)
        b = Interval(low - reach, low + width + reach)
        bounds = softmax_difference(Triple(a, b, delta), groups)
        for _ in range(20):
            x = low + width * torch.rand(4, 6, generator=generator, dtype=torch.float64)
            d = reach * (2 * torch.rand(4, 6, generator=generator, dtype=torch.float64) - 1)
            f, g = (torch.softmax(v[:, groups], -1).flatten(1) for v in (x, x - d))
            rounding = 1e-15  # of the two softmaxes here
            assert (f - g <= bounds.upper + rounding).all()
            assert (f - g >= bounds.lower - rounding).all()
    even = Interval(torch.zeros(1, 2).double(), torch.zeros(1, 2).double())
    small = torch.tensor([[0.005, 0.005]]).double()
    shifted = Interval(-small, small)
    bound = softmax_difference(Triple(even, shifted, shifted), torch.tensor([[0, 1]]))
    # softmax of (0.005, −0.005) against an even one: the bound is within 1 % of it.
    exact = float(torch.softmax(torch.tensor([0.005, -0.005]).double(), 0)[0]) - 0.5
    assert exact <= float(bound.upper[0, 0]) <= exact * 1.01


def test_nothing_known_is_no_more_than_one() -> None:
    infinite = torch.full((1, 3), torch.inf, dtype=torch.float64)
    unknown = Interval(-infinite, infinite)
    bound = softmax_difference(Triple(unknown, unknown, unknown), torch.tensor([[0, 1, 2]]))
    assert (bound.upper >= 1).all()
