"""The compiled loops for dense chains bound what the reference bounds, to rounding."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numba import njit

from simcert.bounds import Propagator
from simcert.bounds.dense import DensePropagator, layers_of
from simcert.bounds.dense.inheritance import pass_on
from simcert.model.linear import Dense, Diagonal
from simcert.model.program import Affine, Input, Program, Relu
from simcert.pairing import align


def program(sizes: list[int], seed: int, noise: float = 0.0, scaled: bool = False) -> Program:
    """A ReLU network; ``scaled`` puts a computed scale before each rectifier."""
    generator, other = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(99)
    steps: list = [Input(sizes[0])]
    for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        weight = torch.randn(fan_out, fan_in, generator=generator, dtype=torch.float64)
        weight = weight / fan_in**0.5
        weight = weight + noise * torch.randn(fan_out, fan_in, generator=other, dtype=torch.float64)
        bias = 0.1 * torch.randn(fan_out, generator=generator, dtype=torch.float64)
        steps.append(Affine((len(steps) - 1,), (Dense(weight),), bias, "dense"))
        if scaled:
            scale = torch.linspace(0.5, 1.5, fan_out, dtype=torch.float64)
            computed = f"scale {noise}"
            steps.append(Affine((len(steps) - 1,), (Diagonal(scale),), 0 * bias, "scale", computed))
        if index < len(sizes) - 2:
            steps.append(Relu(len(steps) - 1, fan_out, "relu"))
    return Program(tuple(steps))


def functions(outputs: int, seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    eye, none = torch.eye(outputs, dtype=torch.float64), torch.zeros(outputs, outputs)
    mixed = torch.randn(3, 2, outputs, generator=generator, dtype=torch.float64)
    parts = ((none, none, eye), (eye, none, none), tuple(mixed))
    return tuple(torch.cat([part[k].double() for part in parts]) for k in range(3))


def boxes(inputs: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    centre = generator.uniform(-1, 1, (count, inputs))
    half = 10.0 ** generator.uniform(-6, 0.3, (count, 1)) * generator.random((count, inputs))
    half[0] = 0.0
    half[1, 0] = 0.0
    return torch.as_tensor(centre - half), torch.as_tensor(centre + half)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("sizes", [[3, 4, 2], [2, 17, 9, 3], [5, 20, 20, 20, 20, 4]])
def test_the_loops_agree_with_the_reference(sizes: list[int], noise: float, scaled: bool) -> None:
    dual = align(program(sizes, 1, scaled=scaled), program(sizes, 1, noise, scaled))
    layers = layers_of(dual)
    assert layers is not None
    rows = functions(sizes[-1], 5)
    reference, loops = Propagator(dual, *rows), DensePropagator(layers, *rows, tuned=False)
    assert loops.neurons == reference.neurons
    lower, upper = boxes(sizes[0], 40, 7)
    first, second = reference.bound(lower, upper), loops.bound(lower, upper)
    for name in ("lower", "upper", "lower_slope", "upper_slope"):
        torch.testing.assert_close(
            getattr(second, name), getattr(first, name), rtol=1e-7, atol=1e-9
        )
    # Parts of the boxes that inherit, as in a search.
    middle = (lower + upper) / 2
    again = (
        reference.bound(lower, middle, first.inherited),
        loops.bound(lower, middle, second.inherited),
    )
    torch.testing.assert_close(again[1].upper, again[0].upper, rtol=1e-6, atol=1e-8)


def preactivations(own: Program, x: torch.Tensor) -> list[torch.Tensor]:
    """What each rectifier reads, (points, neurons), and the outputs."""
    values, read = x, []
    for step in own.steps[1:]:
        if isinstance(step, Affine):
            values = step.maps[0].forward(values) + step.bias
        else:
            read.append(values)
            values = values.clamp(min=0)
    return [*read, values]


@pytest.mark.parametrize("noise", [1e-6, 1e-2, 1.0])
def test_lines_of_choice_are_valid_and_tighter(noise: float) -> None:
    """Also on parts of boxes, where bounds of the original are taken for close networks."""
    f, g = program([5, 20, 20, 20, 20, 4], 1), program([5, 20, 20, 20, 20, 4], 1, noise)
    dual = align(f, g)
    layers, rows = layers_of(dual), functions(4, 5)
    assert layers is not None
    plain, tuned = (DensePropagator(layers, *rows, tuned=t) for t in (False, True))
    lower, upper = boxes(5, 60, 7)
    whole = tuned.bound(lower, upper)
    upper = (lower + upper) / 2
    found = tuned.bound(lower, upper, whole.inherited)
    width = (found.upper - found.lower).log()
    once = plain.bound(lower, upper, plain.bound(lower, upper).inherited)
    wide = upper[:, 0] - lower[:, 0] > 0.05
    assert (width - (once.upper - once.lower).log())[wide].mean() < -0.02
    shares = torch.rand(400, 1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    corners = shares[:50].round()
    points = lower + (upper - lower) * torch.cat([shares, corners])
    of_f, of_g = (preactivations(own, points.reshape(-1, 5)) for own in (f, g))
    a, b = (torch.cat(own[1:-1], dim=1).reshape(450, 60, -1) for own in (of_f, of_g))
    values = torch.stack([a, b, a - b], dim=2)
    assert (found.inherited[:, :3] <= values + 1e-9).all()
    assert (found.inherited[:, 3:] >= values - 1e-9).all()
    parts = zip(rows, (of_f[-1], of_g[-1], of_f[-1] - of_g[-1]), strict=True)
    outputs = sum(value @ c.T for c, value in parts).reshape(450, 60, -1)
    assert (found.lower <= outputs + 1e-9).all()
    assert (found.upper >= outputs - 1e-9).all()


@pytest.mark.parametrize("sizes", [[8, 128, 128, 128], [1, 127, 121, 1], [30, 8, 16, 20]])
def test_widths(sizes: list[int]) -> None:
    """Panels and tiles that are full, that lack one number, and more functions than neurons."""
    dual = align(program(sizes, 2), program(sizes, 2, 1e-3))
    layers = layers_of(dual)
    assert layers is not None
    rows = functions(sizes[-1], 6)
    lower, upper = boxes(sizes[0], 6, 8)
    first = Propagator(dual, *rows).bound(lower, upper)
    second = DensePropagator(layers, *rows, tuned=False).bound(lower, upper)
    torch.testing.assert_close(second.upper, first.upper, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(second.lower, first.lower, rtol=1e-7, atol=1e-9)


@njit
def _passed_on(bounds, own):
    pass_on(bounds, np.zeros_like(bounds), own)


def test_inherited_bounds_are_rounded_outward() -> None:
    """In float32: never inward, and by at most two steps."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=1000) * 10.0 ** generator.integers(-45, 39, 1000)
    special = [0.0, 1.0, -1.0, np.inf, -np.inf, 1e300, -1e300, 1e-300, 2.0**-149, 3.5e38, -3.5e38]
    values = np.append(values, special)
    width = -(-len(values) // 8) * 8
    bounds = np.zeros((6, width))
    bounds[:, : len(values)] = values
    own = np.zeros((6, len(values)), dtype=np.float32)
    _passed_on(bounds, own)
    assert (own[:3] <= values).all()
    assert (own[3:] >= values).all()
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    for _ in range(2):
        near = np.nextafter(near, np.float32(-np.inf))
    inside = np.abs(values) < 1e38
    assert (own[:3, inside] >= near[inside]).all()
    with np.errstate(over="ignore"):
        exact = values == values.astype(np.float32)
    assert (own[:, exact] == values[exact]).all()


def test_layers_without_an_active_neuron() -> None:
    """Where all neurons of a layer are 0 in both networks, the outputs are constants."""
    f, g = program([3, 9, 9, 9, 2], 1), program([3, 9, 9, 9, 2], 1, 0.1)
    f, g = (
        Program(
            tuple(replace(s, bias=s.bias - 50.0) if i == 3 else s for i, s in enumerate(p.steps))
        )
        for p in (f, g)
    )
    dual = align(f, g)
    layers = layers_of(dual)
    assert layers is not None
    rows = functions(2, 5)
    lower, upper = boxes(3, 12, 7)
    first = Propagator(dual, *rows).bound(lower, upper)
    second = DensePropagator(layers, *rows).bound(lower, upper)
    assert not second.upper_slope.any()
    torch.testing.assert_close(second.upper, first.upper, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(second.lower, first.lower, rtol=1e-9, atol=1e-12)


def test_equal_networks_differ_by_exactly_zero() -> None:
    dual = align(program([3, 8, 8, 2], 1), program([3, 8, 8, 2], 1))
    layers = layers_of(dual)
    eye, none = torch.eye(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    bounds = DensePropagator(layers, none, none, eye).bound(*boxes(3, 10, 0))
    assert not bounds.upper.any()
    assert not bounds.lower.any()


@pytest.mark.parametrize("huge", [1e200, 1e308])
def test_overflow_ends_in_no_bound(huge: float) -> None:
    def network(last: float) -> Program:
        steps = program([2, 6, 6, 2], 1).steps
        changed = list(steps)
        for index in (1, 3, 5):
            step = steps[index]
            changed[index] = Affine(
                step.operands,
                (Dense(step.maps[0].weight * (huge if index < 5 else last)),),
                step.bias,
                "dense",
            )
        return Program(tuple(changed))

    dual = align(network(1.0), network(1.1))
    eye, none = torch.eye(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    lower, upper = boxes(2, 20, 3)
    upper = torch.maximum(upper, lower + 1e-3)
    bounds = DensePropagator(layers_of(dual), none, none, eye).bound(lower, upper)
    reference = Propagator(dual, none, none, eye).bound(lower, upper)
    assert (bounds.upper.isinf() | (bounds.upper >= reference.upper * (1 - 1e-6))).all()
    assert not bounds.upper.isnan().any()


def test_other_graphs_are_left_to_the_reference() -> None:
    wide = program([2, 200, 2], 1)
    assert layers_of(align(wide, wide)) is None
    assert layers_of(align(program([2, 6, 2], 1), program([2, 7, 2], 1))) is None
