"""Integer kernels, written as what they compute: real numbers that are quantised again.

QLinearConv(x, w) is a convolution of the numbers that x and w stand for, quantised: its integer
sums are exact. MatMulInteger and ConvInteger are read together with the scales that their sums are
multiplied with afterwards, and DynamicQuantizeLinear together with them. So a float network and its
integer copy have the same operators, and pairing finds them.

Weights, (code − zero) · scale, are exact in float64. A bias is multiplied with two scales, which
float64 rounds; the attribute ``simcert_computed`` says so to whoever bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simcert.functions.float32 import SMALLEST
from simcert.model.graph import (
    COMPUTED,
    DYNAMIC,
    INTEGER,
    LARGEST_CODE,
    LARGEST_SUM,
    Array,
    Graph,
    Node,
)
from simcert.model.sample import sample

Float = NDArray[np.float64]

_FLOAT = 1
"""The element type float32 of ONNX."""

_SAFE = 64

_LARGEST_FACTOR = 2.0**7
"""What a dynamic scale may be multiplied with so that it does not overflow: it is at most
2^128/255."""


def expand_integers(graph: Graph) -> Graph:
    """Replace integer operators with constant weights; others stay as they are."""
    expansion = _Expansion(graph)
    for node in graph.nodes:
        if node.outputs[0] not in expansion.replaced:
            expansion.nodes.extend(expansion.expanded(node))
    constants = {**graph.constants, **expansion.constants}
    return replace(graph, nodes=tuple(_sorted(expansion.nodes, graph)), constants=constants)


class _Expansion:
    """The new nodes and constants."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self.replaced: set[str] = set()
        self._names = {graph.input.name, *graph.constants}
        self._names.update(name for node in graph.nodes for name in (*node.inputs, *node.outputs))
        self._known = sample(graph)
        self._made = {name: node for node in graph.nodes for name in node.outputs if name}
        self._readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)

    def expanded(self, node: Node) -> list[Node]:
        """Return what stands in the place of one node."""
        rules: Mapping[str, Callable[[Node], list[Node] | None]] = {
            "QLinearConv": self._convolution,
            "QLinearMatMul": self._product,
            "ConvInteger": self._integers,
            "MatMulInteger": self._integers,
        }
        rule = rules.get(node.operator)
        return (rule(node) if rule else None) or [node]

    def _convolution(self, node: Node) -> list[Node] | None:
        x, x_scale, x_zero, _, w_scale, *_ = node.inputs
        weight = self._weight(node.inputs[3:6], axis=0)
        scales = [self._constant(name) for name in (x_scale, w_scale)]
        if weight is None or scales[0] is None or scales[1] is None or not self._rescales(node):
            return None
        inputs = [self._real(node, x, x_scale, x_zero), self._keep(node, "weight", weight)]
        if len(node.inputs) > 8 and node.inputs[8]:
            bias = self._constant(node.inputs[8])
            if bias is None or self._wraps(node, bias):
                return None
            both = scales[0].astype(np.float64) * scales[1].astype(np.float64)
            inputs.append(self._keep(node, "bias", bias.astype(np.float64) * both.reshape(-1)))
        return self._requantised(node, "Conv", inputs, node.inputs[6:8])

    def _product(self, node: Node) -> list[Node] | None:
        """Of two tensors that depend on the input, lowering looks at how many codes are summed."""
        if not self._rescales(node):
            return None
        factors = []
        for names, axis in ((node.inputs[:3], -2), (node.inputs[3:6], -1)):
            if self._constant(names[0]) is None:
                factors.append(self._real(node, *names))
                continue
            weight = self._weight(names, axis)
            if weight is None:
                return None
            factors.append(self._keep(node, f"weight {axis}", weight))
        return self._requantised(node, "MatMul", factors, node.inputs[6:8])

    def _rescales(self, node: Node) -> bool:
        """Whether float32 holds what the sums of a kernel are multiplied with.

        Folded into weights that are zero, a scale that overflows would leave no trace: 0 · ∞ is NaN
        in a runtime.
        """
        x, w, y = (self._constant(node.inputs[position]) for position in (1, 4, 6))
        if x is None or w is None or y is None:
            return False
        with np.errstate(over="ignore", under="ignore"):
            products = np.multiply.outer(x.astype(np.float32), w.astype(np.float32))
            scales = np.divide.outer(products, y.astype(np.float32))
        return all(map(_is_normal, (x, w, y, products, scales)))

    def _requantised(
        self, node: Node, operator: str, inputs: Sequence[str], target: Sequence[str]
    ) -> list[Node]:
        """Return the operator on real numbers, with the dequantisers before and a quantiser after.

        ``_real`` appended the dequantisers already.
        """
        real = self._name(node, "real")
        kernel = self._kernel(node.inputs[2], node.inputs[3], node.inputs[5])
        attributes = {**node.attributes, COMPUTED: 1, INTEGER: kernel}
        product = Node(operator, node.name, tuple(inputs), (real,), attributes, node.opset)
        quantise = Node("QuantizeLinear", node.name, (real, *target), node.outputs)
        return [product, quantise]

    def _integers(self, node: Node) -> list[Node] | None:
        """Read a product of integers with the scale that its result is multiplied with."""
        name, zero = node.inputs[0], (*node.inputs, "", "")[2]
        cast = self._only_reader(node.outputs[0], "Cast")
        scaled = self._only_reader(cast.outputs[0], "Mul") if cast else None
        source = self._made.get(name)
        if cast is None or scaled is None or source is None:
            return None
        if cast.integer("to", 0) != _FLOAT:
            return None  # products of integers wrap
        factor = next((n for n in scaled.inputs if n != cast.outputs[0]), "")
        axis = 0 if node.operator == "ConvInteger" else -1
        if source.operator == "DynamicQuantizeLinear" and zero == source.outputs[2]:
            scale = self._dynamic_factor(factor, source.outputs[1])
            read = (self._name(node, "read"),)
            made = [Node(DYNAMIC, source.name, source.inputs, read, {COMPUTED: 1})]
        elif source.operator == "QuantizeLinear" and zero == (*source.inputs, "")[2]:
            static, own = self._constant(factor), self._constant(source.inputs[1])
            if static is None or own is None or own.size != 1 or not _is_normal(static):
                return None
            scale = static.astype(np.float64) / own.astype(np.float64)
            made = [self._reader(node, name, source.inputs[1], zero)]
        else:
            return None
        codes = self._codes(node.inputs[1], (*node.inputs, "", "")[3], axis)
        if scale is None or codes is None:
            return None
        factors = self._channel_factors(node, source, scale, codes)
        if factors is None:
            return None
        weight = self._keep(node, "weight", codes * factors)
        operator = "Conv" if node.operator == "ConvInteger" else "MatMul"
        inputs = (made[0].outputs[0], weight)
        kernel = self._kernel(zero, node.inputs[1], "")
        attributes = {**node.attributes, COMPUTED: 1, INTEGER: kernel}
        self.replaced.update((cast.outputs[0], scaled.outputs[0]))
        made.append(Node(operator, node.name, inputs, scaled.outputs, attributes, node.opset))
        return made

    def _channel_factors(
        self, node: Node, source: Node, factor: Float, codes: Float
    ) -> Float | None:
        """Return a factor of the sums to broadcast with the weights; None where it is none of them.

        It is broadcast as the graph does, from the last axis on: it must leave the shape of the
        sums as it is, and differ between channels only, which are the second axis of ConvInteger.
        """
        rank = codes.ndim
        if node.operator == "ConvInteger":
            axis, channel = 0, 1
        else:
            x = self._known.get(source.inputs[0])
            # Of a vector and a matrix the sums are a vector.
            axis, rank = -1, max(rank, x.ndim) if x is not None and x.ndim > 1 else rank - 1
            channel = rank - 1
        if factor.ndim > rank:
            return None
        along = [1] * rank
        if factor.size > 1:
            along[channel] = codes.shape[axis]
        aligned = (1,) * (rank - factor.ndim) + factor.shape
        return _by_channel(factor.reshape(-1), codes, axis) if aligned == tuple(along) else None

    def _kernel(self, zero: str, weight: str, weight_zero: str) -> int:
        """Return 2 where two products of uint8 and int8 may leave 16 bits, else 1.

        255 (|w| + |w'|) is within 2^15 for weights up to 64. A dynamic quantiser makes uint8; codes
        that depend on the input have the type of their zero point, and may be any of it.
        """
        point, codes, shift = (self._constant(name) for name in (zero, weight, weight_zero))
        unsigned = point is None or point.dtype == np.uint8
        typed = shift if codes is None else codes
        if not unsigned or (typed is not None and typed.dtype == np.uint8):
            return 1
        largest = 128 if codes is None else int(np.abs(codes.astype(np.int64)).max(initial=0))
        return 2 if largest > _SAFE else 1

    def _dynamic_factor(self, name: str, scale: str) -> Float | None:
        """Return c where a tensor is the dynamic scale times a constant c; None if it overflows."""
        if name == scale:
            return np.ones(())
        made = self._made.get(name)
        if made is None or made.operator != "Mul" or scale not in made.inputs:
            return None
        other = next((n for n in made.inputs if n != scale), "")
        found = self._constant(other)
        if found is None or not _is_normal(found) or (np.abs(found) > _LARGEST_FACTOR).any():
            return None
        return found.astype(np.float64)

    def _real(self, node: Node, name: str, scale: str, zero: str) -> str:
        """Append a dequantiser and return the tensor that codes stand for."""
        reader = self._reader(node, name, scale, zero)
        self.nodes.append(reader)
        return reader.outputs[0]

    def _reader(self, node: Node, name: str, scale: str, zero: str) -> Node:
        output = self._name(node, f"{name}/read")
        return Node("DequantizeLinear", node.name, (name, scale, zero), (output,))

    def _weight(self, names: Sequence[str], axis: int) -> Float | None:
        """Return (code − zero) · scale in float64, which is exact; None where it is no constant."""
        codes, scale = self._codes(names[0], names[2], axis), self._constant(names[1])
        own = None if codes is None or scale is None else _by_channel(scale, codes, axis)
        return None if codes is None or own is None else codes * own

    def _codes(self, name: str, zero: str, axis: int) -> Float | None:
        """Return code − zero in float64; None where sums of products with bytes may wrap."""
        codes, shift = self._constant(name), self._constant(zero) if zero else np.zeros(())
        if codes is None or shift is None or codes.ndim < 2:
            return None
        moved = _by_channel(shift, codes, axis)
        if moved is None:
            return None
        found = codes.astype(np.float64) - moved
        return found if (_largest_sums(found, axis) <= LARGEST_SUM).all() else None

    def _wraps(self, node: Node, bias: Array) -> bool:
        """Whether a sum of a QLinearConv may leave its accumulator with the bias."""
        codes = self._codes(node.inputs[3], node.inputs[5], axis=0)
        if codes is None:
            return True
        sums = _largest_sums(codes, axis=0) + np.abs(bias.astype(np.float64))
        return bool((sums > LARGEST_SUM).any())

    def _constant(self, name: str) -> Array | None:
        return self.graph.constants.get(name)

    def _keep(self, node: Node, what: str, array: Array) -> str:
        name = self._name(node, what)
        self.constants[name] = array
        return name

    def _name(self, node: Node, what: str) -> str:
        """Return a name that no other tensor has."""
        name = f"{node.outputs[0]}/{what}"
        while name in self._names:
            name += "'"
        self._names.add(name)
        return name

    def _only_reader(self, name: str, operator: str) -> Node | None:
        readers = self._readers.get(name, [])
        wanted = len(readers) == 1 and readers[0].operator == operator
        return readers[0] if wanted and name != self.graph.output.name else None


def _is_normal(scale: Array) -> bool:
    """Whether float32 holds all of a scale, and no runtime flushes any of it to zero."""
    size = np.abs(scale.astype(np.float64))
    return bool((np.isfinite(size) & (size >= SMALLEST)).all())


def _largest_sums(codes: Float, axis: int) -> Float:
    """Return what sums of products with bytes may reach, one for each channel."""
    others = tuple(k for k in range(codes.ndim) if k != axis % codes.ndim)
    return LARGEST_CODE * np.asarray(np.abs(codes).sum(axis=others), np.float64)


def _by_channel(parameter: Array, codes: Array, axis: int) -> Float | None:
    """Return a scale or zero point to broadcast with codes; None where it is of another form.

    It is one number, or one for each channel, in a list or laid out along the codes' own axis.
    """
    own = parameter.astype(np.float64)
    if own.size == 1:
        return own.reshape(())
    along = [1] * codes.ndim
    along[axis] = codes.shape[axis]
    return own.reshape(along) if own.shape in ((along[axis],), tuple(along)) else None


def _sorted(nodes: Sequence[Node], graph: Graph) -> list[Node]:
    """Return the nodes in topological order: a product now waits for what made its scale."""
    known = {"", graph.input.name, *graph.constants}
    made = {name for node in nodes for name in node.outputs}
    waiting = list(nodes)
    done: list[Node] = []
    while waiting:
        ready = [n for n in waiting if all(i in known or i not in made for i in n.inputs)]
        if not ready:
            return [*done, *waiting]
        for node in ready:
            known.update(node.outputs)
        done.extend(ready)
        chosen = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in chosen]
    return done
