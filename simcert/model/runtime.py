"""Running the file itself, in ONNX Runtime.

What SimCert certifies is the graph that the file holds, so the session runs at
``ORT_DISABLE_ALL``: at every other level some optimisers compute something else than it says.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

from simcert.errors import ModelError
from simcert.model import Model
from simcert.model.batching import treats_rows_apart
from simcert.model.reader import read
from simcert.model.sample import rows_at_once

Float = NDArray[np.float64]

ERRORS = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NotImplemented,
    state.RuntimeException,
    RuntimeError,
    ValueError,
)
"""What ONNX Runtime raises."""

_TRIALS = 8  # rows on which batches are compared with single rows
_AGREEMENT = 1e-5  # of the largest output


class Runtime:
    """Runs the file of a model in ONNX Runtime, on the CPU.

    A model with a fixed batch of 1 runs in batches on a copy, in memory, whose batch is symbolic.
    Batches are used only where every operator is known to treat rows apart, and where they agree
    with the unmodified file, row by row, on a few random rows and on a few rows of the first batch
    of every greater length; otherwise every row is run by itself.

    Args:
        model: the model.
        threads: threads within one operator.
        optimised: run at the runtime's default level instead, which may compute something else.

    Attributes:
        inputs: elements of one input sample.
        outputs: elements of one output sample.
        dtype: the type that inputs are rounded to.

    Raises:
        ModelError: ONNX Runtime cannot load or run the file.
    """

    def __init__(self, model: Model, threads: int = 1, *, optimised: bool = False) -> None:
        self._model = model
        self._level = "ORT_ENABLE_ALL" if optimised else "ORT_DISABLE_ALL"
        self._data = model.interface.runnable(model.data)
        self._exact = self._session(self._data, threads)
        self.dtype = model.interface.dtype
        self.inputs = model.graph.input.size
        self.outputs = self._step(self._exact, np.zeros((1, self.inputs))).size
        self._rows = rows_at_once(model.graph)
        self._compared = 0  # the longest batch that agreed with single rows
        self._batches = self._find_batches(threads)

    @property
    def batched(self) -> bool:
        """Whether ``run`` runs batches; otherwise it runs rows one by one."""
        return self._batches is not None

    @property
    def description(self) -> str:
        """What runs the file, in words."""
        return f"ONNX Runtime {onnxruntime.__version__}, {self._level}, CPU"

    def run(self, x: ArrayLike) -> Float:
        """Run a batch of inputs.

        Args:
            x: (n, inputs), rounded to the input type of the model.

        Returns:
            (n, outputs): the outputs of the float run, widened exactly. NaN and infinity are
            returned as they come.

        Raises:
            ModelError: ONNX Runtime fails.
        """
        x = np.asarray(x)
        if self._batches is not None:
            y = self._loop(self._batches, x, self._rows)
            if self._agrees(x[: self._rows], y[: self._rows]):
                return y
            self._batches = None
        return self.run_exact(x)

    def run_exact(self, x: ArrayLike) -> Float:
        """Run the unmodified file, row by row; as ``run`` otherwise."""
        return self._loop(self._exact, x, 1)

    def _loop(self, session: Any, x: ArrayLike, rows: int) -> Float:
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise ValueError(f"inputs of shape {x.shape}, expected (n, {self.inputs})")
        if 0 < len(x) <= rows:
            y = self._step(session, x)
            if y.shape[1] != self.outputs:
                raise ValueError(f"{y.shape[1]} outputs, expected {self.outputs}")
            return y
        y = np.empty((len(x), self.outputs))
        for start in range(0, len(x), rows):
            chunk = x[start : start + rows]
            y[start : start + rows] = self._step(session, chunk)
        return y

    def _step(self, session: Any, x: NDArray[Any]) -> Float:
        fed = self._model.interface.feed(x)
        try:
            outputs: list[NDArray[Any]] = session.run(None, fed)
        except ERRORS as error:
            raise self._failure("run", error) from error
        return self._model.interface.collect(outputs, len(x))

    def _session(self, data: bytes, threads: int) -> Any:
        try:
            return session(data, threads, self._level)
        except ERRORS as error:
            raise self._failure("load", error) from error

    def _failure(self, action: str, error: Exception) -> ModelError:
        return ModelError(f"{self._model.path}: ONNX Runtime cannot {action} the file: {error}")

    def _agrees(self, x: NDArray[Any], y: Float) -> bool:
        """Whether a batch, where longer than those before, agrees with some of its rows alone."""
        if len(x) <= self._compared:
            return True
        some = np.random.default_rng(len(x)).choice(len(x), min(_TRIALS, len(x)), replace=False)
        self._compared = len(x)
        return _same(y[some], self.run_exact(x[some]))

    def _find_batches(self, threads: int) -> Any | None:
        """Return a session that runs batches as the file runs single rows, or None."""
        interface = self._model.interface
        if not interface.batches:
            return None
        baked = any(info.shape[0] == 1 for info in interface.inputs)
        data = with_symbolic_batch(self._model.data) if baked else self._model.data
        try:
            own = read(self._model.data)
            own = replace(own, outputs=interface.outputs)
            graph = replace(read(data), outputs=interface.outputs) if baked else own
            if not treats_rows_apart(graph, own):
                return None
            session = self._session(interface.runnable(data), threads) if baked else self._exact
            generator = np.random.default_rng(0)
            trial = generator.standard_normal((_TRIALS, self.inputs))
            trial[::2] = generator.random((len(trial[::2]), self.inputs))
            found = self._loop(session, trial, _TRIALS)
        except (ModelError, ValueError):
            return None
        return session if self._agrees(trial, found) else None


def session(data: bytes, threads: int = 1, level: str = "ORT_DISABLE_ALL") -> Any:
    """Return an ONNX Runtime session of a model, as SimCert runs all; it may raise `ERRORS`."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _same(found: Float, expected: Float) -> bool:
    """Whether outputs differ by no more than sums in another order may."""
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    return np.allclose(found, expected, rtol=0.0, atol=_AGREEMENT * scale, equal_nan=True)


def with_symbolic_batch(data: bytes) -> bytes:
    """Return an ONNX model with its baked batch of 1 made symbolic, as far as can be guessed.

    The leading size of the input and of the output becomes symbolic, stored shapes in between are
    dropped, and a Reshape to a constant shape with a leading 1 takes the size from its input. The
    result may be wrong (a leading 1 need not be the batch): compare it before use.
    """
    model = onnx.ModelProto()
    model.ParseFromString(data)
    graph = model.graph
    constants: dict[str, TensorProto] = {value.name: value for value in graph.initializer}
    for value in (*graph.input, *graph.output):
        axes = value.type.tensor_type.shape.dim
        if value.name not in constants and axes and axes[0].dim_value == 1:
            axes[0].dim_param = "simcert_batch"
    del graph.value_info[:]
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    for name in _shapes_only(graph, constants):
        shape = numpy_helper.to_array(constants[name]).copy()
        if shape.ndim == 1 and shape.size > 1 and shape[0] == 1:
            shape[0] = 0 if (shape == -1).any() else -1
            constants[name].CopyFrom(numpy_helper.from_array(shape, name))
    return bytes(model.SerializeToString())


def _shapes_only(graph: onnx.GraphProto, constants: Mapping[str, TensorProto]) -> set[str]:
    """Return the constants that nothing but Reshape reads, as the shape it makes."""
    shapes: set[str] = set()
    others: set[str] = set()
    for node in graph.node:
        for position, name in enumerate(node.input):
            shape = node.op_type == "Reshape" and position == 1
            (shapes if shape else others).add(name)
    return (shapes - others) & constants.keys()
