"""A network as a typed graph, free of protobuf: what every later stage reads."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simcert.errors import ModelError

Array: TypeAlias = NDArray[np.generic]
Attribute: TypeAlias = (
    int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | Array
)

LATEST_OPSET = 21

COMPUTED = "simcert_computed"
"""An attribute of nodes that a pass made: a constant operand was computed in float64, rounded."""

INTEGER = "simcert_integer"
"""An attribute of nodes that a pass made of an integer kernel: 1, or 2 where its sums may saturate
on processors without instructions for them (pairs of products of uint8 and int8 in 16 bits)."""

LARGEST_CODE, LARGEST_SUM = 255, 2**31 - 1
"""Of integer kernels: how far an 8-bit code may be from its zero point, and what an accumulator
holds; beyond it sums wrap."""

DYNAMIC = "simcert::DynamicQuantizer"
"""What a pass makes of DynamicQuantizeLinear together with what reads its codes and its scale."""


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape (None where the size is symbolic) and element type of an input or output."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[np.generic]

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample: every symbolic size, which can only be the batch, is 1."""
        return tuple(1 if size is None else size for size in self.shape)

    @property
    def size(self) -> int:
        """The number of elements of one sample."""
        return math.prod(self.sample)


@dataclass(frozen=True)
class Node:
    """One operator of the default ONNX domain, or ``domain::Operator`` of another one.

    An omitted optional input or an output that nothing reads is the empty string. Attributes hold
    plain Python values; tensors become arrays. ``opset`` is the version of the operator set that
    the node is to be read in.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    opset: int = LATEST_OPSET

    def integer(self, name: str, default: int) -> int:
        """Return the attribute ``name``, a whole number."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else self._mistyped(name)

    def real(self, name: str, default: float) -> float:
        """Return the attribute ``name``, a float."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, float) else self._mistyped(name)

    def text(self, name: str, default: str) -> str:
        """Return the attribute ``name``, a string."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else self._mistyped(name)

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the attribute ``name``, a list of whole numbers."""
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple):
            return self._mistyped(name)
        return tuple(item if isinstance(item, int) else self._mistyped(name) for item in value)

    def array(self, name: str) -> Array | None:
        """Return the attribute ``name``, a tensor; None where it is absent."""
        value = self.attributes.get(name)
        return value if value is None or isinstance(value, np.ndarray) else self._mistyped(name)

    def _mistyped(self, name: str) -> NoReturn:
        raise ModelError(
            f"attribute {name!r} of node {self.name!r} ({self.operator}) has the wrong type"
        )


@dataclass(frozen=True)
class Graph:
    """A network with one flat input and output, nodes in topological order.

    ``constants`` holds the initialisers and the results of constant folding. The leading axis of
    the input is the batch when ``input.shape`` has more than one axis; every analysis looks at one
    sample, so the graph is read with a batch of 1. ``overridable`` names the initialisers that the
    file also lists among its inputs, so that a caller could give others: here they are constants.
    ``inputs`` and ``outputs`` are those that the file declares, see `simcert.model.interface`.
    """

    input: TensorInfo
    output: TensorInfo
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    opset: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    overridable: tuple[str, ...] = ()
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
