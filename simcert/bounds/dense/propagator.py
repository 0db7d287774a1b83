"""The propagator of small dense chains, for whom batches are tensors."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simcert.bounds.dense.boxes import bound_boxes
from simcert.bounds.dense.lanes import WIDTH
from simcert.bounds.dense.layers import Layers
from simcert.bounds.dense.room import make_room
from simcert.bounds.interval import Interval
from simcert.bounds.propagator import OutOfTimeError, RowBounds, offset_of

Float = NDArray[np.float64]


class DensePropagator:
    """:class:`~simcert.bounds.Propagator` for the layers of a small dense chain.

    Args:
        layers: see :func:`layers_of`.
        f: coefficients c_f (S, outputs).
        g: coefficients c_g (S, outputs).
        delta: coefficients c_δ (S, outputs).
        tuned: whether to bound neurons of one network a second time, with lower lines of each row's
            choice, and those of close networks together; else all is as in the Propagator.
    """

    part: int | None = 32

    def __init__(
        self, layers: Layers, f: Tensor, g: Tensor, delta: Tensor, *, tuned: bool = True
    ) -> None:
        self._layers, self._tuned = layers, tuned
        self._functions = np.zeros((3, len(f), layers.biases.shape[2]))
        self._functions[:, :, : f.shape[1]] = np.stack([f.numpy(), g.numpy(), delta.numpy()])
        self._panels = panels_of(self._functions)
        self._equal = layers.equal and not bool(f.any() or g.any())
        self.neurons = int(layers.sizes[1:][layers.refined].sum())

    def bound(
        self,
        lower: Tensor,
        upper: Tensor,
        inherited: Tensor | None = None,
        deadline: float = math.inf,
    ) -> RowBounds:
        """Bound the S functions on each box; see :meth:`simcert.bounds.Propagator.bound`."""
        if time.monotonic() > deadline:
            raise OutOfTimeError
        count, inputs = lower.shape
        rows = self._functions.shape[1]
        boxes = np.ascontiguousarray(np.stack([lower.numpy(), upper.numpy()], axis=1))
        inherits = np.empty((count, 6, self.neurons), dtype=np.float32)
        inherits[:, :3], inherits[:, 3:] = -np.inf, np.inf
        if inherited is not None:
            inherits[...] = inherited.numpy()
        bounds, slopes = np.empty((count, 4, rows)), np.empty((count, 4, rows, inputs))
        width = self._functions.shape[2]
        known, work = make_room(len(self._layers.relus), inputs, width, rows)
        bound_boxes(
            self._layers,
            self._functions,
            self._panels,
            self._equal,
            self._tuned,
            boxes,
            inherits,
            known,
            work,
            bounds,
            slopes,
        )
        upper_bound, negated_lower, *linear = torch.from_numpy(bounds).unbind(1)
        upper_slope, negated_slope, *gaps = torch.from_numpy(slopes).unbind(1)
        box = Interval(lower, upper)
        return RowBounds(
            -negated_lower,
            upper_bound,
            -negated_slope,
            upper_slope,
            -offset_of(negated_slope, linear[1], box),
            offset_of(upper_slope, linear[0], box),
            gaps[0] + gaps[1],
            torch.from_numpy(inherits),
            [],
        )


def panels_of(functions: Float) -> Float:
    """Return functions (3, S, N) and their negatives as rows of panels (P, 5, N, 8).

    First c_f, c_g and c_δ, then what they are on the product network: c_f + c_δ and c_g − c_δ.
    """
    f, g, delta = functions
    parts = np.stack([f, g, delta, f + delta, g - delta])
    rows = np.concatenate([parts, -parts], axis=1)
    padding = -rows.shape[1] % WIDTH
    rows = np.pad(rows, ((0, 0), (0, padding), (0, 0)))
    shape = len(rows), -1, WIDTH, rows.shape[2]
    return np.ascontiguousarray(rows.reshape(shape).transpose(1, 0, 3, 2))
