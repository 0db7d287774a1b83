"""Networks: admission of ONNX files, the graph that every analysis reads, and running it.

>>> model = load("network.onnx")
>>> model.graph.input.shape
(1, 5)
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from simcert.errors import ModelError
from simcert.model.graph import Graph, Node, TensorInfo
from simcert.model.input_map import InputMap, maps_of
from simcert.model.interface import Interface, connected
from simcert.model.passes import normalise
from simcert.model.reader import read, read_bytes

__all__ = ["Graph", "InputMap", "Interface", "Model", "Node", "TensorInfo", "load"]


@dataclass(frozen=True)
class Model:
    """A network file: where it came from, its bytes and their SHA-256, and what it says.

    ``graph`` has one flat input and output; ``interface`` says what the file itself reads and
    answers, and how they are connected.
    """

    path: Path
    data: bytes
    sha256: str
    graph: Graph
    interface: Interface


def load(
    path: str | Path, input_maps: tuple[str, ...] = (), outputs: tuple[str, ...] = ()
) -> Model:
    """Read an ONNX file.

    Operators that SimCert does not know stay in the graph: the network can still be run and
    sampled, only symbolic analysis cannot read it.

    Args:
        path: an ONNX file. Several inputs, and several outputs, are taken one after the other.
        input_maps: how the file's inputs are made from the common ones, see
            `simcert.model.input_map.parse`.
        outputs: tensors to compare instead of the file's outputs; "before-softmax" and
            "before-argmax" are what a last Softmax or ArgMax reads.

    Returns:
        The model, its graph normalised: constants folded, identities dropped.

    Raises:
        ModelError: the file cannot be read, or is not a model that SimCert admits, or has no such
            output.
        ClaimError: a map that does not fit the file's inputs.
    """
    path = Path(path)
    data = read_bytes(path)
    try:
        own = read(data)
        maps = maps_of(input_maps, tuple(info.name for info in own.inputs), str(path))
        graph, interface = connected(own, maps, outputs)
        graph = normalise(graph)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return Model(path, data, hashlib.sha256(data).hexdigest(), graph, interface)
