"""Two networks with their files, and the truth about them at a point in either arithmetic."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from soundness.exact import constants, evaluate

from hunt.emulated import Emulated, Habits
from hunt.layers import Network, Quantiser, float32
from hunt.precise import evaluate as precise
from hunt.precise import is_needed
from hunt.random_networks import Random, points
from hunt.runtimes import LEVELS, Session
from simcert.claim import Divergence
from simcert.model import load

Outputs = list[Fraction]
Runtime = Session | Emulated

EMULATED = 2
"""Runtimes with random habits beside ONNX Runtime."""


@dataclass(frozen=True, eq=False)
class Pair:
    """The original f and the compressed g."""

    f: Network
    g: Network
    folder: Path

    @cached_property
    def paths(self) -> tuple[Path, Path]:
        """The files of f and g, written on first use."""
        return self.f.save(self.folder / "f.onnx"), self.g.save(self.folder / "g.onnx")

    @cached_property
    def sessions(self) -> list[tuple[Runtime, Runtime]]:
        """Both files in ONNX Runtime at every level of optimisation, and in emulated runtimes.

        Where there are quantisers the highest level is left out: it replaces them and their
        neighbours by integer kernels, which is another function than the graph says.
        """
        f, g = self.paths
        random = np.random.default_rng(zlib.crc32(f.read_bytes()))
        networks = self.f, self.g
        quantised = any(isinstance(part, Quantiser) for n in networks for part in n.layers)
        levels = [level for level in LEVELS if not (quantised and level == "all")]
        habits = [Habits.draw(random) for _ in range(EMULATED)]
        return [
            *((Session(f, level), Session(g, level)) for level in levels),
            *((Emulated(self.f, habit), Emulated(self.g, habit)) for habit in habits),
        ]

    def runs(self, x: np.ndarray, arithmetic: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Outputs (n, outputs) of f and g at points (n, inputs), once for each way to compute.

        For "real" these are float64 runs, near the truth; `exactly` is the truth itself. For
        "float32" each is a truth.
        """
        if arithmetic == "real":
            return [(self.f.run(x), self.g.run(x))]
        return [(f.run(x), g.run(x)) for f, g in self.sessions]

    def exactly(self, x: np.ndarray, run: int, arithmetic: str) -> tuple[Outputs, Outputs]:
        """The outputs at one point (inputs,) as rational numbers."""
        if arithmetic == "real" and (is_needed(self.f) or is_needed(self.g)):
            return precise(self.f, x), precise(self.g, x)
        if arithmetic == "real":
            f, g = (evaluate(graph, x[None], known).fractions() for graph, known in self._graphs)
            return f, g
        f, g = (session.run(x[None])[0].tolist() for session in self.sessions[run])
        return [Fraction(v) for v in f], [Fraction(v) for v in g]

    @cached_property
    def _graphs(self) -> list:
        graphs = [load(path).graph for path in self.paths]
        return [(graph, constants(graph)) for graph in graphs]

    def attacked(
        self, random: Random, low: np.ndarray, high: np.ndarray, count: int = 40
    ) -> np.ndarray:
        """Points of a box (n, inputs): corners, random ones, and where gradients lead from them."""
        x = points(random, low, high, count)
        step = torch.from_numpy((high - low) / 4)
        now = torch.from_numpy(x[:: max(1, len(x) // 10)].copy())
        found = [x]
        for _ in range(4):
            now.requires_grad_(True)
            difference = self.f.apply(now) - self.g.apply(now)
            (gradient,) = torch.autograd.grad(difference.abs().amax(1).sum(), now)
            now = (now.detach() + step * gradient.sign()).numpy()
            now = torch.from_numpy(np.clip(float32(now), low, high))
            found.append(now.numpy())
            step = step / 2
        return np.concatenate(found)


def divergence_of(name: str, f: Outputs, g: Outputs) -> tuple[Fraction, int]:
    """d of two outputs raised to a power, and the power; exact."""
    differences = [abs(a - b) for a, b in zip(f, g, strict=True)]
    match name:
        case "l1":
            return sum(differences, Fraction(0)), 1
        case "l2":
            return sum((d * d for d in differences), Fraction(0)), 2
        case "top1":
            return Fraction(int(f.index(max(f)) != g.index(max(g)))), 1
    return max(differences), 1


def worst(values: np.ndarray) -> int:
    """Index of the greatest value; NaN is greater than all."""
    return int(np.nan_to_num(values, nan=np.inf).argmax())


def measured(divergence: Divergence, f: np.ndarray, g: np.ndarray) -> np.ndarray:
    """d (n,) in float64; where an output is not finite, infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        d = divergence.evaluate(f, g)
    finite = np.isfinite(f).all(axis=1) & np.isfinite(g).all(axis=1)
    return np.where(finite, d, np.inf)
