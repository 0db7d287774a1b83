"""Whether ONNX Runtime computes of every node what it is read as here.

Outputs of a file at some points cannot tell: what a node does to a signal that is 0 at these
points stays hidden. So each node is run alone, with its own constants, on random tensors of the
shapes that it meets: by the runtime, by its kernel (`operators`) and as steps of a program
(`lowering`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from simcert.errors import ModelError, UnsupportedOperatorError
from simcert.model.graph import COMPUTED, Array, Graph, Node, TensorInfo
from simcert.model.lowering import lower
from simcert.model.operators import OPERATORS, apply
from simcert.model.operators.kernel import tensor
from simcert.model.runtime import ERRORS, session
from simcert.model.sample import sample

_SEED = 0xA94EE
_IR_VERSION = 10
_HALF = np.dtype(np.float16)
_ROUNDING, _HALF_ROUNDING = 2.0**-10, 2.0**-5
"""Of the largest element: what a run may be off by. A node read wrongly is off by far more."""

_ENTRY = "all"


def check_agreement(graphs: Sequence[Graph]) -> None:
    """Require that the runtime computes of every node what it is read as.

    Nodes that no kernel runs, and those that a pass computed, are left out: the first are not
    bounded, the second are no nodes of the file.

    Args:
        graphs: normalised; a node that they have in common is run once.

    Raises:
        UnsupportedOperatorError: the runtime computes something else, or does not run a node alone.
    """
    known: dict[bytes, dict[str, Array]] = {}
    for graph in graphs:
        values = {name: np.asarray(value.numpy()) for name, value in sample(graph).items()}
        met: dict[str, Array] = {}  # tensors as the runtime has them
        moving = {graph.input.name}
        for node in graph.nodes:
            if moving.isdisjoint(node.inputs):
                continue
            runs = node.operator in OPERATORS and COMPUTED not in node.attributes
            if runs and all(name in values for name in node.inputs if name):
                alone = _Alone.of(node, values, met, moving)
                if alone.digest not in known:
                    known[alone.digest] = alone.checked()
                made = zip(alone.node.outputs, node.outputs, strict=True)
                met.update({name: known[alone.digest][own] for own, name in made if name})
            moving.update(filter(None, node.outputs))


@dataclass(frozen=True)
class _Alone:
    """A node by itself.

    Attributes:
        node: inputs and outputs are named by their positions, so that equal nodes are equal.
        constants: those that it reads.
        met: the other tensors that it reads, of the types that the runtime has.
        held: these as they are here, where codes are floats.
    """

    node: Node
    constants: Mapping[str, Array]
    met: Mapping[str, Array]
    held: Mapping[str, Array]

    @classmethod
    def of(
        cls, node: Node, values: Mapping[str, Array], met: Mapping[str, Array], moving: set[str]
    ) -> _Alone:
        """Take a node out of a graph with tensors ``values``, of which ``moving`` are no constants.

        What it reads of them is random; of whole numbers, small ones.
        """
        places = {name: f"i{k}" if name else "" for k, name in enumerate(node.inputs)}
        own = replace(
            node,
            inputs=tuple(places[name] for name in node.inputs),
            outputs=tuple(f"o{k}" if name else "" for k, name in enumerate(node.outputs)),
        )
        generator = np.random.default_rng(_SEED)
        constants, drawn, held = {}, {}, {}
        for name, place in places.items():
            if name in moving:
                x = _drawn(generator, met.get(name, values[name]))
                drawn[place], held[place] = x, x.astype(values[name].dtype)
            elif name:
                constants[place] = values[name]
        return cls(own, constants, drawn, held)

    @cached_property
    def model(self) -> bytes:
        """An ONNX model of the node."""
        # Named are also outputs that nothing reads: ONNX Runtime's Split crashes where one is not.
        outputs = [f"o{k}" for k in range(len(self.node.outputs))]
        node = helper.make_node(self.node.operator, self.node.inputs, outputs)
        for name, value in self.node.attributes.items():
            kept = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            empty = onnx.AttributeProto.INTS if kept == () else None
            node.attribute.append(helper.make_attribute(name, kept, attr_type=empty))
        graph = helper.make_graph(
            [node],
            "alone",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape
                )
                for name, x in self.met.items()
            ],
            [onnx.ValueInfoProto(name=name) for name in self.node.outputs if name],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", self.node.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))

    @cached_property
    def digest(self) -> bytes:
        """Equal for equal nodes."""
        return hashlib.sha256(self.model).digest()

    def checked(self) -> dict[str, Array]:
        """Return what the runtime computes, by name.

        Raises:
            UnsupportedOperatorError: it does not, or it is not what is computed here.
        """
        names = [name for name in self.node.outputs if name]
        try:
            runs = dict(zip(names, session(self.model).run(None, dict(self.met)), strict=True))
        except ERRORS as error:
            raise self._refused(f"ONNX Runtime does not run it alone: {error}") from error
        for name, own in (*self._kernel(), *self._programs(runs)):
            if name in runs:
                self._compare(runs[name], own)
        return runs

    def _kernel(self) -> Iterator[tuple[str, Array]]:
        """The outputs by the node's kernel, in float64."""
        read = {name: tensor(array) for name, array in {**self.constants, **self.held}.items()}
        wide = {n: x.to(torch.float64) if x.is_floating_point() else x for n, x in read.items()}
        try:
            outputs = apply(self.node, [wide[name] if name else None for name in self.node.inputs])
        except UnsupportedOperatorError:
            raise
        except ModelError as error:
            raise self._refused(str(error)) from error
        for name, value in zip(self.node.outputs, outputs, strict=False):
            yield name, np.asarray(value.numpy())

    def _programs(self, runs: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        """The float outputs by the node's steps; none where it is bounded only beside others."""
        if any(x.dtype.kind != "f" for x in self.met.values()):
            return
        nodes, constants, start = [], dict(self.constants), 0
        for name, x in self.held.items():
            numbers = {"starts": [start], "ends": [start + x.size], "axes": [1], "shape": x.shape}
            for key, value in numbers.items():
                constants[f"{name}.{key}"] = np.array(value, np.int64)
            sliced = (_ENTRY, *(f"{name}.{key}" for key in ("starts", "ends", "axes")))
            nodes.append(Node("Slice", "", sliced, (f"{name}.flat",)))
            nodes.append(Node("Reshape", "", (f"{name}.flat", f"{name}.shape"), (name,)))
            start += x.size
        flat = np.concatenate([x.reshape(-1) for x in self.held.values()])[None]
        entry = TensorInfo(_ENTRY, flat.shape, flat.dtype)
        for name, run in runs.items():
            if run.dtype.kind != "f":
                continue
            output = TensorInfo(name, run.shape, run.dtype)
            graph = Graph(entry, output, (*nodes, self.node), constants, self.node.opset)
            try:
                row = lower(graph).run(torch.as_tensor(flat.astype(np.float64)))[0].numpy()
            except UnsupportedOperatorError:
                continue
            yield name, row.reshape(run.shape) if row.size == run.size else row

    def _compare(self, run: Array, own: Array) -> None:
        """Raise where a run is of another shape, or differs by more than rounding."""
        if own.shape != run.shape:
            raise self._refused(f"ONNX Runtime makes {run.shape} of it where {own.shape} is read")
        one, other = run.astype(np.float64), own.astype(np.float64)
        size = np.abs(one[np.isfinite(one)]).max(initial=0.0)
        allowed = size * (_HALF_ROUNDING if run.dtype == _HALF else _ROUNDING)
        if "Quantize" in self.node.operator:
            allowed += 1.0  # where a quotient is in the middle of two codes
        if not np.allclose(one, other, rtol=0.0, atol=allowed, equal_nan=True):
            raise self._refused("ONNX Runtime computes something else than is read here")

    def _refused(self, detail: str) -> UnsupportedOperatorError:
        return UnsupportedOperatorError(self.node.operator, self.node.name, detail)


def _drawn(generator: np.random.Generator, like: Array) -> Array:
    """Return a random tensor of the type and shape of another."""
    if like.dtype.kind == "f":
        return generator.standard_normal(like.shape).astype(like.dtype)
    return generator.integers(0, 2 if like.dtype.kind == "b" else 100, like.shape).astype(
        like.dtype
    )
