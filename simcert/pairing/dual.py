"""Two programs as one: which tensor of the original corresponds to which of the compressed network.

Alignment is a heuristic and never a matter of soundness. On an *aligned* node the difference
δ = a − b follows a rule of its own (δ' = W_f δ + (W_f − W_g) b + …); on any other node that both
networks have, δ is just a − b, which is the product network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simcert.functions import Clip, DynamicQuantizer, Identity, Quantizer, Rectifier
from simcert.model.association import associated
from simcert.model.linear import LinearMap
from simcert.model.program import Affine, Input, Product, Program, Relu, Step, Univariate
from simcert.pairing.biases import unmerged
from simcert.pairing.order import by_branch


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

    Steps of equal kind and size are matched along the longest common subsequence of both orders,
    branch by branch; the inputs and the outputs always correspond. A quantiser that only one of
    the networks has is matched with the identity, or with the rectifier that its limit replaces, so
    that the difference is tracked through it.
    """
    f, g = by_branch(f), by_branch(g)
    f, g = unmerged(f, g), unmerged(g, f)
    f, g = _ended_alike(f, g), _ended_alike(g, f)
    f, g = associated(f), associated(g)
    matches = _longest_common_subsequence(
        [_kind(step) for step in f.steps[1:-1]], [_kind(step) for step in g.steps[1:-1]]
    )
    pairs = [(0, 0), *((i + 1, j + 1) for i, j in matches), (len(f.steps) - 1, len(g.steps) - 1)]
    joint = _Joint(f, g)
    done_f = done_g = 0
    for i, j in pairs:
        joint.append_unmatched(range(done_f, i), range(done_g, j))
        joint.append(i, j)
        done_f, done_g = i + 1, j + 1
    return DualProgram(tuple(joint.nodes))


def _ended_alike(own: Program, other: Program) -> Program:
    """Return a program with the identity behind it, where only the other ends with a quantiser."""
    last = own.steps[-1]
    if not _is_quantizer(other.steps[-1]) or _is_quantizer(last):
        return own
    identity = Univariate(len(own.steps) - 1, Identity(), last.size, last.label)
    return Program((*own.steps, identity))


class _Joint:
    """The dual nodes made so far, and which of them hold each network's tensors."""

    def __init__(self, f: Program, g: Program) -> None:
        self.nodes: list[DualNode] = []
        self._steps = f.steps, g.steps
        self._index: tuple[dict[int, int], dict[int, int]] = {}, {}

    def append(self, i: int, j: int) -> None:
        """Append a matched pair of steps."""
        f, g = self._steps[0][i], self._steps[1][j]
        f_operands, g_operands = self._operands(0, i), self._operands(1, j)
        if len(f_operands) == len(g_operands):
            met = [self._meet(*pair) for pair in zip(f_operands, g_operands, strict=True)]
            f_operands = g_operands = ()
            for f_node, g_node in met:
                f_operands, g_operands = (*f_operands, f_node), (*g_operands, g_node)
        self._index[0][i] = self._index[1][j] = len(self.nodes)
        self.nodes.append(_join(f, g, f_operands, g_operands))

    def append_unmatched(self, f: range, g: range) -> None:
        """Append steps that have no counterpart, but for rectifiers that a quantiser replaces."""
        waiting = list(f)
        for j in g:
            for i in waiting:
                if self._replaces(i, j):
                    self._append_alone(0, [k for k in waiting if k < i])
                    self.append(i, j)
                    waiting = [k for k in waiting if k > i]
                    break
            else:
                self._append_alone(1, [j])
        self._append_alone(0, waiting)

    def _append_alone(self, side: int, numbers: Sequence[int]) -> None:
        """Append steps of one network; beside a quantiser the other network has the identity."""
        for number in numbers:
            step, operands = self._steps[side][number], self._operands(side, number)
            self._index[side][number] = len(self.nodes)
            other: Step | None = None
            if _is_quantizer(step) and _is_joint(self.nodes[operands[0]]):
                other = Univariate(0, Identity(), step.size, step.label)
            f, g = (step, other) if side == 0 else (other, step)
            self.nodes.append(
                DualNode(f, g, operands if f else (), operands if g else (), other is not None)
            )

    def _replaces(self, i: int, j: int) -> bool:
        """Whether the quantiser ``j`` of the compressed network does what ``i`` does."""
        f, g = self._steps[0][i], self._steps[1][j]
        if not (isinstance(f, Relu | Univariate) and isinstance(g, Univariate)):
            return False
        if isinstance(f, Univariate) and not (isinstance(f.function, Clip) and f.function.low == 0):
            return False
        if f.size != g.size:
            return False
        if not isinstance(g.function, Quantizer) or bool(g.function.least.any()):
            return False
        known = f.operand in self._index[0] and g.operand in self._index[1]
        return (
            known
            and len(set(self._meet(self._index[0][f.operand], self._index[1][g.operand]))) == 1
        )

    def _meet(self, f: int, g: int) -> tuple[int, int]:
        """Return the nodes of two operands, one and the same where the identity leads to it."""
        for own, other, pick in ((g, f, "f"), (f, g, "g")):
            node = own
            while node != other and isinstance(step := getattr(self.nodes[node], pick), Univariate):
                if not isinstance(step.function, Identity):
                    break
                node = self.nodes[node].f_operands[0]
            if node == other:
                return own, own
        return f, g

    def _operands(self, side: int, number: int) -> tuple[int, ...]:
        step = self._steps[side][number]
        return () if isinstance(step, Input) else tuple(self._index[side][o] for o in step.operands)


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
    if isinstance(f, Relu) and isinstance(g, Univariate):
        f = Univariate(f.operand, Rectifier(), f.size, f.label)
        return DualNode(f, g, f_operands, g_operands, aligned=True)
    same_kind = type(f) is type(g) and isinstance(f, Input | Relu | Univariate | Product)
    return DualNode(f, g, f_operands, g_operands, aligned=same_kind)


def _is_quantizer(step: Step) -> bool:
    quantizers = Quantizer | DynamicQuantizer
    return isinstance(step, Univariate) and isinstance(step.function, quantizers)


def _is_joint(node: DualNode) -> bool:
    """Whether both networks have the tensor, so that there is a difference to track."""
    return node.f is not None and node.g is not None


def _kind(step: Step) -> tuple[str, str, int]:
    """What two steps must share to be matched."""
    function = step.function.name if isinstance(step, Univariate) else ""
    return type(step).__name__, function, step.size


def _longest_common_subsequence(
    left: Sequence[object], right: Sequence[object]
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
