"""What the bounds of a pair have to contain: values over the reals, or as computed in float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simcert.model import load
from simcert.model.graph import Graph
from soundness.elementary import BeyondError
from soundness.exact import Exact, constants, evaluate
from soundness.runtime import Sessions, as_float32, save


@dataclass(frozen=True)
class Outputs:
    """Exact outputs f and g (n, outputs) at points x (n, inputs).

    ``overflows`` (2, m, outputs) holds those of further points where one is NaN or infinite.
    """

    x: np.ndarray
    f: Exact
    g: Exact
    overflows: np.ndarray


class Real:
    """Two graphs in exact arithmetic."""

    dtype = np.float64

    def __init__(self, f: Graph, g: Graph) -> None:
        self.graphs = f, g
        self._known = constants(f), constants(g)

    def outputs(self, x: np.ndarray) -> Iterator[Outputs]:
        """Points that the networks do not define are left out."""
        try:
            f, g = (
                evaluate(graph, x, k) for graph, k in zip(self.graphs, self._known, strict=True)
            )
        except BeyondError:
            if len(x) > 1:
                for point in x:
                    yield from self.outputs(point[None])
        else:
            yield Outputs(x, f, g, np.zeros((2, 0, f.shape[1])))


class Float32:
    """The files of two graphs in ONNX Runtime, at each level of optimisation."""

    dtype = np.float32

    def __init__(self, f: Graph, g: Graph, folder: Path) -> None:
        files = [save(as_float32(graph), folder / f"{i}.onnx") for i, graph in enumerate((f, g))]
        self.graphs = load(files[0]).graph, load(files[1]).graph
        self._f, self._g = (Sessions(*own) for own in zip(files, (f, g), strict=True))

    def outputs(self, x: np.ndarray) -> Iterator[Outputs]:
        """Each level that both files can be run at is a runtime."""
        for f, g in zip(self._f.run(x), self._g.run(x), strict=False):
            finite = np.isfinite(f).all(axis=1) & np.isfinite(g).all(axis=1)
            exact = Exact.of(f[finite]), Exact.of(g[finite])
            yield Outputs(x[finite], *exact, np.array([f[~finite], g[~finite]]))


Truth = Real | Float32
