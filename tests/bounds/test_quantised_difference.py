"""A quantiser in one network: the difference to what stands beside it, in exact arithmetic."""

import time
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

from simcert.bounds import Propagator
from simcert.bounds.interval import Interval, Triple
from simcert.bounds.lines import Planes
from simcert.bounds.univariate import UnivariateDualRule, UnivariateRule
from simcert.functions import Clip, Function, Identity, Quantizer, Rectifier
from simcert.model.linear import Dense
from simcert.model.program import Affine, Input, Program, Relu, Step, Univariate
from simcert.pairing import align

SCALE, LEAST, GREATEST = 0.0625, 0, 40


def quantizer(size: int, scale: float = SCALE) -> Quantizer:
    full = [torch.full((size,), x, dtype=torch.float64) for x in (scale, LEAST, GREATEST)]
    return Quantizer(*full)


def exact(function: Function, x: Fraction) -> Fraction:
    """The function's value at a fraction."""
    if isinstance(function, Quantizer):
        return min(max(round(x / Fraction(SCALE)), LEAST), GREATEST) * Fraction(SCALE)
    if isinstance(function, Clip):
        return min(max(x, Fraction(function.low)), Fraction(function.high))
    return max(x, Fraction(0)) if isinstance(function, Rectifier) else x


PAIRS = [
    (Identity(), quantizer(1)),
    (quantizer(1), Identity()),
    (Rectifier(), quantizer(1)),
    (Clip(0.0, 2.5), quantizer(1)),
    (Clip(-0.5, 0.75), Clip(-0.5, 0.75)),
    (Clip(-0.5, 0.75), Clip(0.0, 0.5)),
]


@pytest.mark.parametrize(("f", "g"), PAIRS)
def test_interval_and_planes_contain_every_difference(f: Function, g: Function) -> None:
    random = np.random.default_rng(0)
    boxes = 150
    width = 10.0 ** random.uniform(-3, 0.7, (2, boxes))
    low = random.uniform(-1, 3, (2, boxes)) - width / 2
    low[:, ::7] = np.round(low[:, ::7] / SCALE) * SCALE + SCALE / 2  # at thresholds
    low[1, ::2] = low[0, ::2] + random.uniform(-0.1, 0.1, boxes)[::2]
    high = low + width
    a, b = (Interval(torch.tensor(low[k])[:, None], torch.tensor(high[k])[:, None]) for k in (0, 1))
    reach = torch.tensor(10.0 ** random.uniform(-3, 0.7, (boxes, 1)))
    centre = (a.lower - b.lower).clamp(-reach, reach)
    delta = Interval(centre - reach, centre + reach).intersect(a.minus(b))
    one, other = UnivariateRule(f), UnivariateRule(g)
    strips = one.forward([a])[1], other.forward([b])[1]
    rule = UnivariateDualRule(one, other)
    interval, packed = rule.forward([Triple(a, b, delta)], *strips)
    planes = Planes.unpacked(packed)
    met = 0
    for box in range(boxes):
        terms = [[Fraction(float(t[box, 0])) for t in p] for p in (planes.upper, planes.lower)]
        error = Fraction(float(planes.error[box, 0]))
        for _ in range(12):
            x, y = (
                Fraction(float(random.choice([lo, hi, random.uniform(lo, hi)])))
                for lo, hi in zip(low[:, box], high[:, box], strict=True)
            )
            gap = x - y
            if not float(delta.lower[box, 0]) <= gap <= float(delta.upper[box, 0]):
                continue
            met += 1
            value = exact(f, x) - exact(g, y)
            assert Fraction(float(interval.lower[box, 0])) <= value
            assert value <= Fraction(float(interval.upper[box, 0]))
            above, below = (p[0] * x + p[1] * y + p[2] * gap + p[3] for p in terms)
            assert below - error <= value <= above + error
    assert met > boxes


def test_no_wider_than_half_a_step_more() -> None:
    """Where b is far from its limits; a plane without δ spreads as far as both networks do."""
    random = np.random.default_rng(1)
    low = torch.tensor(random.uniform(0.2, 1.8, (200, 1)))
    a = Interval(low, low + torch.tensor(random.uniform(0, 0.4, (200, 1))))
    reach = torch.tensor(random.uniform(0, 0.2, (200, 1)))
    delta = Interval(-reach, reach)
    b = Interval(a.lower - reach, a.upper + reach)
    one, other = UnivariateRule(Identity()), UnivariateRule(quantizer(1))
    strip = other.forward([b])[1]
    interval, _ = UnivariateDualRule(one, other).forward(
        [Triple(a, b, delta)], one.forward([a])[1], strip
    )
    slack = 1e-12
    assert (interval.upper <= delta.upper + SCALE / 2 + slack).all()
    assert (interval.lower >= delta.lower - SCALE / 2 - slack).all()


def test_one_code_is_a_constant() -> None:
    """A box on which no quantiser changes its code is bounded as f alone is."""
    x = Interval(*(torch.full((1, 1), end, dtype=torch.float64) for end in (0.99, 1.01)))
    one, other = UnivariateRule(Identity()), UnivariateRule(quantizer(1))
    delta = Interval(torch.zeros(1, 1).double(), torch.zeros(1, 1).double())
    triple = Triple(x, x, delta)
    interval, _ = UnivariateDualRule(one, other).forward(
        [triple], one.forward([x])[1], other.forward([x])[1]
    )
    assert float(interval.upper) == pytest.approx(0.01, rel=1e-9)
    assert float(interval.lower) == pytest.approx(-0.01, rel=1e-9)


@pytest.mark.parametrize("radius", [0.0, 0.02, 0.3, 3.0])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_wide_networks_are_no_looser_than_the_product_network(radius: float, share: float) -> None:
    """Where the difference says no more than the two networks, it is given up, and nothing lost.

    Nor with equal work, where that is not enough for all that could be bounded symbolically.
    """
    random = torch.Generator().manual_seed(3)
    sizes = [6, 300, 40, 3]
    f: list[Step] = [Input(6)]
    g: list[Step] = [Input(6)]
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight = torch.randn(outputs, inputs, generator=random).double() / inputs**0.5
        bias = torch.randn(outputs, generator=random).double() / 4
        rounded = torch.round(weight * 32) / 32
        for steps, matrix in ((f, weight), (g, rounded)):
            steps.append(Affine((len(steps) - 1,), (Dense(matrix),), bias, "dense"))
            if layer < 2:
                steps.append(Relu(len(steps) - 1, outputs, "relu"))
        if layer < 2:
            g.append(Univariate(len(g) - 1, quantizer(outputs), outputs, "quantiser"))
    left, right = Program(tuple(f)), Program(tuple(g))
    dual = align(left, right)
    apart = replace(dual, nodes=tuple(replace(node, aligned=False) for node in dual.nodes))
    centre = torch.randn(4, 6, generator=random).double()
    zero, eye = torch.zeros(3, 3).double(), torch.eye(3).double()
    work = share * Propagator(dual, zero, zero, eye).full_work
    bounds = [
        Propagator(pair, zero, zero, eye, work=work).bound(centre - radius, centre + radius)
        for pair in (dual, apart)
    ]
    largest = [torch.maximum(own.upper, -own.lower) for own in bounds]
    assert (largest[0].amax(1) <= largest[1].amax(1) * (1 + 1e-9)).all()
    points = centre[:, None] + radius * (2 * torch.rand(4, 200, 6, generator=random).double() - 1)
    value = (left.run(points.reshape(-1, 6)) - right.run(points.reshape(-1, 6))).reshape(4, 200, 3)
    assert (value <= bounds[0].upper[:, None] + 1e-9).all()
    assert (value >= bounds[0].lower[:, None] - 1e-9).all()


def test_two_networks_side_by_side_take_no_work_for_differences() -> None:
    """What they could take goes to f and g: two blocks of five bound all of their tensors."""
    random = torch.Generator().manual_seed(7)
    steps: list[list[Step]] = [[Input(5)], [Input(5)]]
    for inputs, outputs in pairwise([5, 280, 30, 2]):
        weight = torch.randn(outputs, inputs, generator=random).double() / inputs**0.5
        for own, scale in zip(steps, (1.0, 1.0625), strict=True):
            bias = torch.zeros(outputs, dtype=torch.float64)
            own.append(Affine((len(own) - 1,), (Dense(weight * scale),), bias, "dense"))
            if outputs > 2:
                own.append(Relu(len(own) - 1, outputs, "relu"))
    dual = align(*(Program(tuple(own)) for own in steps))
    apart = replace(dual, nodes=tuple(replace(node, aligned=False) for node in dual.nodes))
    zero, eye = torch.zeros(2, 2).double(), torch.eye(2).double()
    low, high = -torch.ones(1, 5).double(), torch.ones(1, 5).double()
    whole = Propagator(apart, zero, zero, eye)
    limited = Propagator(apart, zero, zero, eye, work=0.41 * whole.full_work)
    for own, all_of_it in zip(limited.bound(low, high), whole.bound(low, high), strict=True):
        if isinstance(own, torch.Tensor):
            assert torch.equal(own, all_of_it)


def test_a_late_box_of_a_wide_network_keeps_its_intervals() -> None:
    """Without time for any substitution there still is a bound, and it holds."""
    random = torch.Generator().manual_seed(5)
    weight = torch.randn(300, 4, generator=random).double()
    last = torch.randn(2, 300, generator=random).double()
    zeros = [torch.zeros(size, dtype=torch.float64) for size in (300, 2)]

    def program(scale: float) -> Program:
        return Program(
            (
                Input(4),
                Affine((0,), (Dense(weight * scale),), zeros[0], "first"),
                Relu(1, 300, "relu"),
                Affine((2,), (Dense(last),), zeros[1], "last"),
            )
        )

    left, right = program(1.0), program(1.125)
    zero, eye = torch.zeros(2, 2).double(), torch.eye(2).double()
    low, high = -torch.ones(1, 4).double(), torch.ones(1, 4).double()
    propagator = Propagator(align(left, right), zero, zero, eye)
    bounds = propagator.bound(low, high, deadline=time.monotonic() - 1.0)
    assert torch.isfinite(bounds.lower).all()
    assert torch.isfinite(bounds.upper).all()
    x = 2 * torch.rand(500, 4, generator=random).double() - 1
    value = left.run(x) - right.run(x)
    assert (value >= bounds.lower).all()
    assert (value <= bounds.upper).all()
    in_time = propagator.bound(low, high)
    assert (in_time.upper <= bounds.upper).all()
