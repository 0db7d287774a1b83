"""A file under compression, run in torch: its inner tensors, and gradients with respect to them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from simcert.errors import ModelError, UnsupportedOperatorError
from simcert.model.graph import Array, Graph, Node
from simcert.model.operators import OPERATORS, apply
from simcert.model.operators.kernel import tensor
from simcert.model.passes.constants import fold_constants
from simcert.model.passes.dead import remove_dead
from simcert.model.passes.shapes import fix_shapes
from simcert.model.reader import read
from simcert.model.sample import rows_at_once

_STEEPNESS = 5.0


class Execution:
    """Runs the graph of a file on batches, with the names that its tensors have in the file.

    One row is one sample, so a batch of 1 that the file fixes does no harm. Rounding passes
    gradients on as they are, and a spike, a Greater whose readers are casts to floats, passes that
    of a sigmoid of steepness 5 (a surrogate gradient; Neftci, Mostafa, Zenke 2019).

    Attributes:
        graph: constants folded, nodes in topological order.
        constants: floating-point constants by name; whoever compresses may replace them.
    """

    def __init__(self, data: bytes, dtype: torch.dtype = torch.float64) -> None:
        """Prepare a run.

        Raises:
            ModelError: the bytes are not a model, or an operator of it cannot be run.
        """
        self.graph: Graph = fold_constants(fix_shapes(remove_dead(read(data))))
        for node in self.graph.nodes:
            if node.operator not in OPERATORS:
                raise UnsupportedOperatorError(node.operator, node.name, "it cannot be run")
        self.dtype = dtype
        self.constants = {
            name: self._typed(tensor(array)) for name, array in self.graph.constants.items()
        }
        self._spikes = _spikes(self.graph)
        self._rows = rows_at_once(self.graph)

    def replace(self, name: str, values: Array) -> None:
        """Give a constant other values."""
        self.constants[name] = self._typed(tensor(values))

    def chunks(self, *arrays: Array) -> Iterator[tuple[Tensor, ...]]:
        """Yield tensors of as many rows as should be run together."""
        rows = min(self._rows, 256)
        for start in range(0, len(arrays[0]), rows):
            parts = (torch.from_numpy(array[start : start + rows]) for array in arrays)
            yield tuple(self._typed(part) for part in parts)

    def outputs(self, x: Tensor, constants: Mapping[str, Tensor] | None = None) -> Tensor:
        """Run a batch (n, inputs) and return its outputs, (n, outputs)."""
        name = self.graph.output.name
        return self.tensors(x, [name], constants=constants)[name].flatten(1)

    def tensors(
        self,
        x: Tensor,
        wanted: Iterable[str],
        *,
        constants: Mapping[str, Tensor] | None = None,
        shifts: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Run a batch and return tensors by name, (n, *shape).

        Args:
            x: (n, inputs).
            wanted: names of tensors.
            constants: that take the place of the file's own.
            shifts: what is added to tensors on the way, by name, (n, *shape): the gradient with
                respect to a shift is the one with respect to the tensor.

        Raises:
            ModelError: a node does not fit its inputs.
        """
        known = {**self.constants, **(constants or {})}
        names = tuple(wanted)

        def run(row: Tensor, shift: Mapping[str, Tensor]) -> dict[str, Tensor]:
            values = {**known, self.graph.input.name: row.reshape(self.graph.input.sample)}
            missing = set(names) - values.keys()
            for node in self.graph.nodes:
                if not missing:
                    break
                operands = [values[name] if name else None for name in node.inputs]
                for name, value in zip(node.outputs, self._apply(node, operands), strict=False):
                    value = self._typed(value)
                    values[name] = value + shift[name] if name in shift else value
                    missing.discard(name)
            return {name: values[name] for name in names}

        batch: dict[str, Tensor] = torch.func.vmap(run)(x, dict(shifts or {}))
        return batch

    def _apply(self, node: Node, operands: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        if node.outputs[0] not in self._spikes:
            return apply(node, operands)
        a, b = operands
        if a is None or b is None:
            raise ModelError(f"node {node.name!r} (Greater) lacks an input")
        soft = torch.sigmoid(_STEEPNESS * (a - b))
        return ((a > b).to(self.dtype) + (soft - soft.detach()),)

    def _typed(self, value: Tensor) -> Tensor:
        return value.to(self.dtype) if value.is_floating_point() else value


def _spikes(graph: Graph) -> frozenset[str]:
    """The outputs of Greater that are only ever cast to a floating-point type."""
    floats = {1, 10, 11}  # TensorProto.FLOAT, FLOAT16, DOUBLE
    spikes = {node.outputs[0] for node in graph.nodes if node.operator == "Greater"}
    for node in graph.nodes:
        if node.operator != "Cast" or node.integer("to", 0) not in floats:
            spikes.difference_update(node.inputs)
    return frozenset(spikes - {graph.output.name})


def float_array(values: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The values as a float64 array."""
    return values.detach().to(torch.float64).numpy()
