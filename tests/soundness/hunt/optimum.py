"""The exact worst case of a small ReLU pair, by mixed-integer linear programming (HiGHS).

V. Tjeng, K. Xiao and R. Tedrake, Evaluating robustness of neural networks with mixed integer
programming, ICLR 2019: relu with bounds l < 0 < u of its operand z is y ≥ 0, y ≥ z,
y ≤ z − l (1 − s), y ≤ u s with s in {0, 1}. Bounds are from intervals; nothing here is SimCert's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from hunt.layers import Dense, Network, float32

Array = np.ndarray


@dataclass(frozen=True)
class Optimum:
    """The greatest |f_i − g_i| on a box.

    Attributes:
        value: as the solver has it; true up to its tolerances.
        upper: the solver's dual bound, likewise.
        x: an input that attains it, rounded to float32 and clipped to the box.
    """

    value: float
    upper: float
    x: Array


class _Program:
    """Variables with bounds, and rows a·v ≤ b, under construction."""

    def __init__(self) -> None:
        self.low: list[float] = []
        self.high: list[float] = []
        self.whole: list[int] = []
        self.rows: list[dict[int, float]] = []
        self.limits: list[float] = []

    def variable(self, low: float, high: float, whole: int = 0) -> int:
        self.low.append(low)
        self.high.append(high)
        self.whole.append(whole)
        return len(self.low) - 1

    def at_most(self, row: dict[int, float], limit: float) -> None:
        self.rows.append(row)
        self.limits.append(limit)

    def relu(self, row: dict[int, float], bias: float) -> int:
        """y = relu(row·v + bias); returns y."""
        ends = [(c * self.low[k], c * self.high[k]) for k, c in row.items()]
        low = bias + sum(min(pair) for pair in ends)
        high = bias + sum(max(pair) for pair in ends)
        y = self.variable(max(low, 0.0), max(high, 0.0))
        if high <= 0:
            return y
        negative = {k: -c for k, c in row.items()}
        self.at_most({**row, y: -1.0}, -bias)
        if low >= 0:
            self.at_most({**negative, y: 1.0}, bias)
            return y
        s = self.variable(0.0, 1.0, whole=1)
        self.at_most({**negative, y: 1.0, s: -low}, bias - low)
        self.at_most({y: 1.0, s: -high}, 0.0)
        return y

    def matrix(self) -> sparse.csr_array:
        at = [(i, k, c) for i, row in enumerate(self.rows) for k, c in row.items()]
        i, k, c = zip(*at, strict=True) if at else ((), (), ())
        return sparse.csr_array((c, (i, k)), shape=(len(self.rows), len(self.low)))


def worst_case(
    f: Network, g: Network, low: Array, high: Array, *, relaxed: bool = False
) -> Optimum:
    """Maximise |f_i − g_i| over a box, for dense ReLU networks.

    Args:
        f: a network of Dense and ReLU layers.
        g: another one with the same inputs and outputs.
        low: (inputs,) lower corner.
        high: (inputs,) upper corner.
        relaxed: drop the integrality: an upper bound of the worst case.
    """
    program = _Program()
    x = [program.variable(a, b) for a, b in zip(low, high, strict=True)]
    outputs = [_encode(program, network, x) for network in (f, g)]
    matrix, limits = program.matrix(), np.array(program.limits)
    best = Optimum(-np.inf, -np.inf, low)
    for (a, a_bias), (b, b_bias) in zip(*outputs, strict=True):
        difference = np.zeros(len(program.low))
        for k, c in a.items():
            difference[k] += c
        for k, c in b.items():
            difference[k] -= c
        for sign in (1.0, -1.0):
            answer = milp(
                -sign * difference,
                integrality=np.array(program.whole) * (not relaxed),
                bounds=Bounds(program.low, program.high),
                constraints=LinearConstraint(matrix, ub=limits) if len(limits) else (),
                options={"mip_rel_gap": 0.0},
            )
            assert answer.status == 0, answer.message
            constant = sign * (a_bias - b_bias)
            value = constant - answer.fun
            upper = constant - (answer.fun if relaxed else answer.mip_dual_bound)
            if value > best.value:
                inside = np.clip(float32(answer.x[: len(x)]), low, high)
                best = Optimum(value, max(upper, best.upper), inside)
            best = Optimum(best.value, max(upper, best.upper), best.x)
    return best


def _encode(
    program: _Program, network: Network, x: list[int]
) -> list[tuple[dict[int, float], float]]:
    """Add a network; returns each output as a row of variables and a constant."""
    dense = [layer for layer in network.layers if isinstance(layer, Dense)]
    tensor = x
    for layer in dense[:-1]:
        rows = _rows(layer, tensor)
        tensor = [program.relu(row, bias) for row, bias in rows]
    return _rows(dense[-1], tensor)


def _rows(layer: Dense, tensor: list[int]) -> list[tuple[dict[int, float], float]]:
    return [
        ({k: float(c) for k, c in zip(tensor, weight, strict=True) if c}, float(bias))
        for weight, bias in zip(layer.weight, layer.bias, strict=True)
    ]
