"""Whatever the alignment, each network keeps its function."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from soundness.networks import COMPRESSIONS, OPERATORS, compress, network
from soundness.programs import FLOAT, bound, dense, evaluate, scalars, unaligned

from simcert.model.lowering import lower
from simcert.model.program import Affine, Held, Program, Step
from simcert.pairing import DualProgram, align
from simcert.pairing.order import by_branch

Random = np.random.Generator


def random_dense(random: Random, *sizes: int) -> Program:
    layers: list[tuple[torch.Tensor, torch.Tensor] | str] = []
    for n, m in itertools.pairwise(sizes):
        weight = torch.from_numpy(random.standard_normal((m, n)))
        layers += ["relu"] * bool(layers)
        layers.append((weight, torch.from_numpy(random.standard_normal(m))))
    return dense(*layers)


def assert_keeps_both(dual: DualProgram, f: Program, g: Program) -> None:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((30, f.inputs)))
    a, b = evaluate(dual, x)[-1]
    assert a is not None
    assert b is not None
    assert torch.equal(a, f.run(x))
    assert torch.equal(b, g.run(x))
    assert_well_formed(dual, f, g)


NOT_HELD = Held.at()


def bare(step: Step) -> Step:
    """A step without what its neighbours allow a runtime to hold."""
    return replace(step, held=NOT_HELD) if isinstance(step, Affine) else step


def assert_well_formed(dual: DualProgram, f: Program, g: Program) -> None:
    assert [bare(n.f) for n in dual.nodes if n.f is not None] == list(map(bare, by_branch(f).steps))
    assert [bare(n.g) for n in dual.nodes if n.g is not None] == list(map(bare, by_branch(g).steps))
    for index, node in enumerate(dual.nodes):
        assert all(o < index for o in (*node.f_operands, *node.g_operands))
        assert all(dual.nodes[o].f is not None for o in node.f_operands)
        assert all(dual.nodes[o].g is not None for o in node.g_operands)
        if node.f is not None and node.g is not None:
            assert node.f.size == node.g.size
        if node.aligned:
            assert type(node.f) is type(node.g)
            assert node.f_operands == node.g_operands
        if isinstance(node.f, Affine) and isinstance(node.g, Affine) and node.aligned:
            assert len(node.differences) == len(node.f.maps)
            parts = zip(node.differences, node.f.maps, node.g.maps, strict=True)
            for difference, left, right in parts:
                x = torch.eye(left.inputs, dtype=FLOAT)
                exact = left.forward(x) - right.forward(x)
                assert torch.equal(difference.forward(x), exact)


SHAPES = [
    ((3, 5, 2), (3, 5, 2)),
    ((3, 5, 4, 2), (3, 5, 2)),
    ((3, 5, 2), (3, 5, 4, 2)),
    ((3, 5, 5, 2), (3, 4, 5, 2)),
    ((3, 8, 8, 8, 2), (3, 8, 8, 2)),
    ((3, 2), (3, 6, 6, 6, 2)),
    ((3, 3, 3, 3), (3, 3)),
    ((3, 7, 6, 5, 2), (3, 5, 6, 7, 2)),
    ((2, 2, 2, 2, 2), (2, 2, 2)),
]


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_dense_networks_of_any_depth_and_width(
    left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    random = np.random.default_rng(1)
    f, g = random_dense(random, *left), random_dense(random, *right)
    dual = align(f, g)
    assert_keeps_both(dual, f, g)
    assert_keeps_both(align(g, f), g, f)


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_every_operator_and_compression(operator: str) -> None:
    for seed, method in enumerate(COMPRESSIONS):
        random = np.random.default_rng([seed, len(operator)])
        f = network(random, operator, outputs=2)
        g = compress(random, f, method)
        left, right = lower(f), lower(g)
        dual = align(left, right)
        assert_keeps_both(dual, left, right)
        if method == "same":
            assert all(node.aligned for node in dual.nodes)
            assert all(node.exact for node in dual.nodes if isinstance(node.f, Affine))


def test_equal_shapes_are_aligned_throughout() -> None:
    random = np.random.default_rng(2)
    f, g = (random_dense(random, 3, 5, 5, 2) for _ in range(2))
    dual = align(f, g)
    assert len(dual.nodes) == len(f.steps)
    assert all(node.aligned for node in dual.nodes)
    assert dual.describe() == "3 of 3 affine layers of the original aligned"
    assert (dual.inputs, dual.outputs) == (3, 2)


def test_outputs_correspond_even_where_nothing_else_does() -> None:
    f, g = scalars(2.0, "relu"), scalars(3.0)
    dual = align(f, g)
    assert_keeps_both(dual, f, g)
    assert not dual.nodes[-1].aligned
    result = bound(f, g, [[-1.0]], [[2.0]])
    assert result.lower[0, 2] <= -2  # f − g = max(2x, 0) − 3x is −2 at 2 and 3 at −1
    assert result.upper[0, 2] >= 3


def test_computed_constants_are_exact_only_where_they_are_equal() -> None:
    random = np.random.default_rng(3)
    f = network(random, "BatchNormalization", shape=(1, 2, 2, 2), outputs=1)
    g = compress(random, f, "noise")
    computed = [
        (node, node.f.computed == node.g.computed)
        for node in align(lower(f), lower(g)).nodes
        if isinstance(node.f, Affine) and isinstance(node.g, Affine) and node.f.computed
    ]
    assert computed
    for node, equal in computed:
        assert node.exact == equal


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_a_bad_alignment_is_only_loose(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Bounds on any alignment, and on none at all, contain sampled values."""
    random = np.random.default_rng(4)
    f, g = random_dense(random, *left), random_dense(random, *right)
    x = torch.from_numpy(random.uniform(-1, 1, (500, f.inputs)))
    values = torch.cat([f.run(x), g.run(x), f.run(x) - g.run(x)], 1)
    low, high = -torch.ones(1, f.inputs, dtype=FLOAT), torch.ones(1, f.inputs, dtype=FLOAT)
    dual = align(f, g)
    for variant in (dual, unaligned(dual)):
        result = bound(f, g, low, high, variant)
        slack = 1e-12 * values.abs().max()
        assert (values <= result.upper + slack).all()
        assert (values >= result.lower - slack).all()
