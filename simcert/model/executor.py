"""Running a graph in torch: for gradients, for shapes, and as a second reading of the file."""

import torch
from torch import Tensor

from simcert.errors import UnsupportedOperatorError
from simcert.model.graph import Graph
from simcert.model.operators import OPERATORS, apply
from simcert.model.operators.kernel import tensor
from simcert.model.sample import rows_at_once


class Executor:
    """Runs ``graph`` with torch, in one floating-point type.

    The graph is read on one sample (batch axis 1) and vectorised over samples, so that a Reshape
    with a baked batch of 1 does no harm. Differentiable; a rounding to quantised numbers passes
    the gradient straight through.

    Args:
        graph: the network.
        dtype: the type that every floating-point tensor takes. An explicit Cast still rounds.
        device: where to run.

    Raises:
        UnsupportedOperatorError: an operator of the graph has no kernel.
    """

    def __init__(
        self,
        graph: Graph,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        for node in graph.nodes:
            if node.operator not in OPERATORS:
                raise UnsupportedOperatorError(node.operator, node.name)
        self.graph = graph
        self.dtype = dtype
        self.device = torch.device(device)
        self._constants = {
            name: self._typed(tensor(array)) for name, array in graph.constants.items()
        }
        last = {name: node for node in graph.nodes for name in node.inputs}
        kept = {"", graph.output.name, *graph.constants}
        self._freed = [
            [name for name in set(node.inputs) - kept if last[name] is node] for node in graph.nodes
        ]
        self._rows = rows_at_once(graph)

    def __call__(self, x: Tensor) -> Tensor:
        """Run a batch.

        Args:
            x: flat inputs, (n, inputs).

        Returns:
            Flat outputs, (n, outputs), in the type of the executor.

        Raises:
            ModelError: a node does not fit its inputs.
        """
        x = x.to(self.device, self.dtype)
        if not len(x):
            return x.new_zeros(0, self.graph.output.size)
        rows: Tensor = torch.func.vmap(self._output, chunk_size=self._rows)(x)
        return rows

    def activations(self, x: Tensor) -> dict[str, Tensor]:
        """Run one sample and keep every tensor.

        Args:
            x: a flat input, (inputs,).

        Returns:
            Every tensor by name, constants included, in its own shape at batch 1.

        Raises:
            ModelError: a node does not fit its inputs.
        """
        return self._run(x.to(self.device, self.dtype), keep=True)

    def _output(self, x: Tensor) -> Tensor:
        return self._run(x, keep=False)[self.graph.output.name].flatten()

    def _run(self, x: Tensor, *, keep: bool) -> dict[str, Tensor]:
        values = {**self._constants, self.graph.input.name: x.reshape(self.graph.input.sample)}
        for node, freed in zip(self.graph.nodes, self._freed, strict=True):
            outputs = apply(node, [values[name] if name else None for name in node.inputs])
            for name, value in zip(node.outputs, outputs, strict=False):
                values[name] = self._typed(value)
            for name in () if keep else freed:
                del values[name]
        return values

    def _typed(self, value: Tensor) -> Tensor:
        return value.to(self.device, self.dtype if value.is_floating_point() else value.dtype)
