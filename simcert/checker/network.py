"""The checker's own reading of an ONNX file: a network of the steps of ``program``.

Every weight is the file's own number, or (for DequantizeLinear of a constant) a product that
float64 holds exactly, or says that it was computed (``Affine.rounded``).
"""

from __future__ import annotations

from simcert.checker.builder import Builder, Traced, Value
from simcert.checker.errors import CannotCheckError
from simcert.checker.onnxfile import File, Interface, Node, interface
from simcert.checker.operators import apply
from simcert.checker.program import Network

__all__ = ["Interface", "Network", "interface", "read"]


def read(data: bytes) -> Network:
    """Read a network.

    Raises:
        CheckError: the bytes are no ONNX model.
        CannotCheckError: an operator, or a use of one, that the checker does not know.
    """
    file = File(data)
    entry = file.interface
    builder = Builder(entry.inputs)
    values: dict[str, Value] = dict(file.constants)
    values[entry.input_name] = builder.tensor(0, entry.sample)
    types = file.element_types
    for proto in file.nodes:
        node = Node(proto, types)
        for name in node.inputs:
            if name and name not in values:
                raise CannotCheckError(f"{node.operator} reads {name!r} before it is made")
        outputs = apply(builder, node, [values[name] if name else None for name in node.inputs])
        if not node.outputs or any(name in values for name in node.outputs):
            raise CannotCheckError(f"{node.operator} with outputs {node.outputs}")
        values |= {n: value for n, value in zip(node.outputs, outputs, strict=False) if n}
    output = values.get(file.output)
    if not isinstance(output, Traced):
        raise CannotCheckError("the output does not depend on the input")
    return Network(
        builder.finished(output),
        entry.input_name,
        entry.input_shape,
        entry.input_type,
        file.fingerprint,
        file.kept_channels,
    )
