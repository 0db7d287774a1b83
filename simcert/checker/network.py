"""The checker's own reading of an ONNX file: a network of the steps of ``program``.

Every weight is the file's own number, or (for DequantizeLinear of a constant) a product that
float64 holds exactly, or says that it was computed (``Affine.rounded``). Input maps are steps
before the file's own, so that what is shown is shown of the composition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from simcert.checker.builder import Builder, Coded, Quantised, Traced, Value
from simcert.checker.errors import CannotCheckError
from simcert.checker.interface import Entry, Interface, interface
from simcert.checker.linear import Index
from simcert.checker.onnxfile import File, Node, element_number
from simcert.checker.operators import apply
from simcert.checker.operators.quantisers import numbers
from simcert.checker.operators.types import WHOLE, made
from simcert.checker.program import Network
from simcert.checker.protobuf import Message

__all__ = ["Interface", "Network", "read"]


def read(data: bytes, used: Interface | None = None) -> Network:
    """Read a network.

    Args:
        data: the file.
        used: how its tensors make the flat input and output; by default they are these.

    Raises:
        CheckError: the bytes are no ONNX model.
        CannotCheckError: an operator, or a use of one, that the checker does not know.
    """
    file = File(data)
    used = used or interface(file)
    builder = Builder(used.inputs)
    values: dict[str, Value] = dict(file.constants)
    numbers = used.parts(np.arange(used.inputs)[None])
    for entry, part in zip(used.entries, numbers, strict=True):
        values[entry.tensor.name] = _entered(builder, entry, part)
    types: dict[str, int | None] = dict(file.element_types)
    types |= {e.tensor.name: element_number(e.tensor.type) for e in used.entries}
    floats = {element_number(used.input_type)}
    for proto in _needed(file.nodes, used.outputs):
        node = Node(proto, types, file.opset)
        for name in node.inputs:
            if name and name not in values:
                raise CannotCheckError(f"{node.operator} reads {name!r} before it is made")
        outputs = apply(builder, node, [values[name] if name else None for name in node.inputs])
        builder.count(sum(value.size for value in outputs))
        if any(isinstance(x, Traced) and not x.size for x in outputs):
            raise node.refused("with an empty result")
        if not node.outputs or any(name in values for name in node.outputs):
            raise CannotCheckError(f"{node.operator} with outputs {node.outputs}")
        values |= {n: value for n, value in zip(node.outputs, outputs, strict=False) if n}
        types |= (kinds := made(node))
        if node.operator == "DequantizeLinear" or any(isinstance(x, Traced) for x in outputs):
            floats |= set(kinds.values()) - WHOLE
    return Network(
        builder.finished(_joined(builder, [values.get(name) for name in used.outputs])),
        used.input_type,
        frozenset(floats),
        _fingerprint(data, used),
        file.kept_channels,
    )


def _needed(nodes: Sequence[Message], outputs: Sequence[str]) -> list[Message]:
    """Return the nodes that the outputs depend on."""
    wanted, found = {*outputs}, []
    for node in reversed(nodes):
        if wanted.intersection(node.texts(2)):
            wanted.update(node.texts(1))
            found.append(node)
    return found[::-1]


def _entered(builder: Builder, entry: Entry, numbers: Index) -> Traced:
    """Return an input of the file, made of the elements ``numbers`` (1, size) of the flat one."""
    made, shape = entry.map, entry.map.after
    builder.name = entry.tensor.name
    x = Traced(0, made.moved(numbers)[0])
    if (made.scale != 1).any():
        x = builder.scale(x, np.broadcast_to(made.scale, shape))
    if made.offset.any():
        x = builder.combine([(1.0, x), (1.0, np.broadcast_to(made.offset, shape))])
    x = x.moved(x.index.reshape(entry.tensor.sample))
    if entry.limits is None:
        return x
    one = np.ones(x.shape)
    x = builder.quantise(x, one, *(limit * one for limit in entry.limits))
    return Quantised(x.step, x.index, one, np.zeros(x.shape, dtype=np.int64))


def _joined(builder: Builder, outputs: Sequence[Value | None]) -> Traced:
    """Return the outputs one after the other; codes are the numbers that they are."""
    outputs = [numbers(builder, x) if isinstance(x, Quantised) else x for x in outputs]
    found = [x for x in outputs if isinstance(x, Traced) and not isinstance(x, Coded)]
    if len(found) != len(outputs):
        raise CannotCheckError("an output is of integers, or does not depend on the input")
    if len(found) == 1:
        return found[0]
    operands, start, size = [], 0, sum(x.size for x in found)
    for x in found:
        index = np.full(size, -1)
        index[start : start + x.size] = x.index.reshape(-1)
        operands.append(builder.move(x, index))
        start += x.size
    return builder.affine(operands, None, (size,), terms=None)


def _fingerprint(data: bytes, used: Interface) -> str:
    """Equal for one and the same file used in one way: only that is known to run in one way."""
    state = hashlib.sha256(data)
    state.update(repr(used.outputs).encode())
    for entry in used.entries:
        made = entry.map
        state.update(repr((made.before, made.order, made.after)).encode())
        for factors in (made.scale, made.offset):
            state.update(np.broadcast_to(factors, made.after).tobytes())
    return state.hexdigest()
