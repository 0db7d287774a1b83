"""How a file runs in other ways: at the runtime's default level, and here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from simcert.claim import Region
from simcert.claim.rounding import Float
from simcert.errors import ModelError
from simcert.model import Model
from simcert.model.executor import Executor
from simcert.model.runtime import Runtime

AGREEMENT = 1e-5
"""Of the largest output: what two ways of running a graph may differ by."""


@dataclass(frozen=True)
class Running:
    """Outputs of one file on samples, run in several ways.

    Attributes:
        samples: how many inputs were run.
        size: the largest absolute value of an output.
        default_gap: the largest difference between ONNX Runtime at its default level
            (ORT_ENABLE_ALL) and at ORT_DISABLE_ALL, which is the graph's own meaning and what
            SimCert runs.
        default_share: share of the samples on which they differ by more than rounding. A quantised
            network differs in steps: rarely and by much.
        own_gap: the largest difference between ORT_DISABLE_ALL and SimCert's own reading in
            float64; None where it has none.
        own_share: as ``default_share``.
        own_reason: why it has none; empty otherwise.
    """

    samples: int
    size: float
    default_gap: float
    default_share: float
    own_gap: float | None
    own_share: float | None
    own_reason: str

    @property
    def default_agrees(self) -> bool:
        """Whether the default level computes what the graph says, up to float32 rounding."""
        return self.default_gap <= AGREEMENT * self.size

    @property
    def own_agrees(self) -> bool | None:
        """Whether SimCert reads the graph as the runtime runs it; None where it does not run it."""
        return None if self.own_gap is None else self.own_gap <= AGREEMENT * self.size


def running_of(model: Model, x: Float, threads: int) -> Running:
    """Run a file on inputs (n, inputs) in all ways."""
    plain = Runtime(model, threads)
    y = plain.run(x)
    default = Runtime(model, threads, optimised=True).run(x)
    size = float(np.abs(y[np.isfinite(y)]).max(initial=0.0))
    default_gap, default_share = _gap(y, default, AGREEMENT * size)
    own_gap, own_share, reason = None, None, ""
    try:
        with torch.no_grad():
            own = Executor(model.graph)(torch.as_tensor(x.astype(plain.dtype))).numpy()
        own_gap, own_share = _gap(y, own, AGREEMENT * size)
    except ModelError as error:
        reason = str(error)
    return Running(len(x), size, default_gap, default_share, own_gap, own_share, reason)


def samples_of(region: Region | None, inputs: int, count: int, seed: int) -> Float:
    """Draw inputs, uniformly from a region or from the unit box; (count, inputs)."""
    generator = np.random.default_rng([seed, 0x1275EC7])
    if region is None:
        return generator.random((count, inputs))
    box = generator.choice(region.boxes, size=count, p=region.weights / region.weights.sum())
    return generator.uniform(region.lower[box], region.upper[box])


def _gap(one: Float, other: Float, allowed: float) -> tuple[float, float]:
    """The largest difference, infinite where only one is a number; and how many rows differ.

    Returns:
        The difference, and the share of rows that differ by more than ``allowed``.
    """
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.nan_to_num(np.abs(one - other), nan=np.inf, posinf=np.inf)
    rows = np.where(same, 0.0, difference).max(axis=1)
    return float(rows.max(initial=0.0)), float((rows > allowed).mean())
