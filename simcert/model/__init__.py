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
from simcert.model.passes import normalise
from simcert.model.reader import read, read_bytes

__all__ = ["Graph", "Model", "Node", "TensorInfo", "load"]


@dataclass(frozen=True)
class Model:
    """A network file: where it came from, its bytes and their SHA-256, and what it says."""

    path: Path
    data: bytes
    sha256: str
    graph: Graph


def load(path: str | Path) -> Model:
    """Read an ONNX file.

    Operators that SimCert does not know stay in the graph: the network can still be run and
    sampled, only symbolic analysis cannot read it.

    Args:
        path: an ONNX file with one input and one output, both of floats.

    Returns:
        The model, its graph normalised: constants folded, identities dropped.

    Raises:
        ModelError: the file cannot be read, or is not a model that SimCert admits.
    """
    path = Path(path)
    data = read_bytes(path)
    try:
        graph = normalise(read(data))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return Model(path, data, hashlib.sha256(data).hexdigest(), graph)
