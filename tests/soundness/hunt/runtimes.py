"""Runs of an ONNX file by ONNX Runtime in float32, as anyone would run it."""

from pathlib import Path

import numpy as np
import onnxruntime

_LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
LEVELS = tuple(_LEVELS)


class Session:
    """A file with one level of graph optimisation.

    The claim for float32 is about every conforming runtime; each level is one.
    """

    def __init__(self, path: Path, level: str = "all") -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = _LEVELS[level]
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            # At every level but "none" this one quantises weights that the file holds as floats.
            disabled_optimizers=["WeightBiasQuantization", "DoubleQDQPairsRemover"],
        )
        (node,) = self._session.get_inputs()
        self._name, self._sample = node.name, node.shape[1:]

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs (n, outputs), float64 copies of float32 numbers, at points x (n, inputs)."""
        batch = x.astype(np.float32).reshape(-1, *self._sample)
        return self._session.run(None, {self._name: batch})[0].astype(np.float64)
