"""A network as a typed graph, free of protobuf: what every later stage reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.generic]
Attribute: TypeAlias = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | Array


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape (None where the size is symbolic) and element type of an input or output."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[np.generic]


@dataclass(frozen=True)
class Node:
    """One operator of the default ONNX domain.

    An omitted optional input is the empty string. Attributes hold plain Python values; tensors
    become arrays.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A network with one input and one output, nodes in topological order.

    ``constants`` holds the initialisers and the results of constant folding. The leading axis of
    the input is the batch when ``input.shape`` has more than one axis; every analysis looks at one
    sample, so the graph is read with a batch of 1.
    """

    input: TensorInfo
    output: TensorInfo
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    opset: int
    metadata: Mapping[str, str] = field(default_factory=dict)
