"""Two programs as one: which tensor of the original corresponds to which of the compressed network.

Alignment is a heuristic and never a matter of soundness. On an *aligned* node the difference
δ = a − b follows a rule of its own (δ' = W_f δ + (W_f − W_g) b + …); on any other node that both
networks have, δ is just a − b, which is the product network.
"""

from __future__ import annotations

from dataclasses import dataclass

from simcert.model.linear import LinearMap
from simcert.model.program import Affine, Input, Program, Relu, Step


@dataclass(frozen=True)
class DualNode:
    """A tensor of the original (``f``), of the compressed network (``g``), or of both.

    ``f_operands`` and ``g_operands`` are indices of dual nodes. ``differences`` holds W_f − W_g for
    each operand of an aligned affine node and is empty otherwise. ``exact`` says that these are
    differences of the files' own numbers, or of numbers computed from equal constants, so that what
    cancels in them cancels over the reals.
    """

    f: Step | None
    g: Step | None
    f_operands: tuple[int, ...]
    g_operands: tuple[int, ...]
    aligned: bool
    differences: tuple[LinearMap, ...] = ()
    exact: bool = False

    @property
    def size(self) -> int:
        """Elements of the tensor."""
        return max(step.size for step in (self.f, self.g) if step is not None)


@dataclass(frozen=True)
class DualProgram:
    """Dual nodes in topological order; node 0 is the shared input, the last one the output pair.

    ``same`` says that both files hold one and the same graph, which one runtime computes in one
    way: not only are the networks equal over the reals, their rounding is equal too.
    """

    nodes: tuple[DualNode, ...]
    same: bool = False

    @property
    def inputs(self) -> int:
        """Elements of the input."""
        return self.nodes[0].size

    @property
    def outputs(self) -> int:
        """Elements of the output."""
        return self.nodes[-1].size

    def describe(self) -> str:
        """Say how much of the pair is aligned."""
        layers = [n for n in self.nodes if isinstance(n.f, Affine)]
        aligned = sum(n.aligned for n in layers)
        return f"{aligned} of {len(layers)} affine layers of the original aligned"


def align(f: Program, g: Program) -> DualProgram:
    """Pair the steps of two programs with equal numbers of inputs and outputs.

    Steps of equal kind and size are matched along the longest common subsequence of the two
    topological orders; the inputs and the outputs always correspond.
    """
    matches = _longest_common_subsequence(
        [_kind(step) for step in f.steps[1:-1]], [_kind(step) for step in g.steps[1:-1]]
    )
    pairs = [(0, 0), *((i + 1, j + 1) for i, j in matches), (len(f.steps) - 1, len(g.steps) - 1)]
    nodes: list[DualNode] = []
    f_index: dict[int, int] = {}
    g_index: dict[int, int] = {}
    done_f = done_g = 0
    for pair_i, pair_j in pairs:
        for i in range(done_f, pair_i):
            operands = tuple(f_index[o] for o in _operands(f.steps[i]))
            f_index[i] = len(nodes)
            nodes.append(DualNode(f.steps[i], None, operands, (), aligned=False))
        for j in range(done_g, pair_j):
            operands = tuple(g_index[o] for o in _operands(g.steps[j]))
            g_index[j] = len(nodes)
            nodes.append(DualNode(None, g.steps[j], (), operands, aligned=False))
        f_operands = tuple(f_index[o] for o in _operands(f.steps[pair_i]))
        g_operands = tuple(g_index[o] for o in _operands(g.steps[pair_j]))
        f_index[pair_i] = g_index[pair_j] = len(nodes)
        nodes.append(_join(f.steps[pair_i], g.steps[pair_j], f_operands, g_operands))
        done_f, done_g = pair_i + 1, pair_j + 1
    return DualProgram(tuple(nodes))


def _join(f: Step, g: Step, f_operands: tuple[int, ...], g_operands: tuple[int, ...]) -> DualNode:
    """Make one node of two matched steps, aligned where a rule for the difference applies."""
    separate = DualNode(f, g, f_operands, g_operands, aligned=False)
    if f_operands != g_operands:
        return separate
    if isinstance(f, Affine) and isinstance(g, Affine):
        differences = []
        for f_map, g_map in zip(f.maps, g.maps, strict=True):
            difference = f_map.minus(g_map)
            if difference is None:
                return separate
            differences.append(difference)
        exact = f.computed == g.computed
        return DualNode(f, g, f_operands, g_operands, True, tuple(differences), exact)
    same_kind = type(f) is type(g) and isinstance(f, Input | Relu)
    return DualNode(f, g, f_operands, g_operands, aligned=same_kind)


def _kind(step: Step) -> tuple[str, int]:
    """What two steps must share to be matched."""
    return type(step).__name__, step.size


def _operands(step: Step) -> tuple[int, ...]:
    return () if isinstance(step, Input) else step.operands


def _longest_common_subsequence(
    left: list[tuple[str, int]], right: list[tuple[str, int]]
) -> list[tuple[int, int]]:
    """Return the index pairs of a longest common subsequence (dynamic programming)."""
    length = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            length[i][j] = (
                length[i + 1][j + 1] + 1
                if left[i] == right[j]
                else max(length[i + 1][j], length[i][j + 1])
            )
    pairs = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif length[i + 1][j] >= length[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs
