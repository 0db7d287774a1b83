"""A divergence on some of the outputs."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from simcert.claim.divergences.base import Cover, Divergence, Float, Rows
from simcert.errors import ClaimError


@dataclass(frozen=True)
class Selected(Divergence):
    """``base`` applied to the outputs ``outputs`` of both networks.

    Attributes:
        base: the divergence.
        outputs: indices, increasing: the order decides ties between outputs.

    Raises:
        ClaimError: no index, a negative one, or indices that do not increase.
    """

    base: Divergence
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        chosen = self.outputs
        if not chosen or chosen[0] < 0 or any(a >= b for a, b in pairwise(chosen)):
            raise ClaimError(
                f"outputs [{_list(chosen)}]: give indices from 0 on, in increasing order"
            )
        for attribute in ("name", "unit", "provable", "supremum", "decision"):
            object.__setattr__(self, attribute, getattr(self.base, attribute))

    @property
    def spec(self) -> str:
        """That of the base; the outputs are given apart."""
        return self.base.spec

    def check(self, outputs: int) -> None:
        """Refuse outputs that are not there, and too few for the base.

        Raises:
            ClaimError: naming the index and the number of outputs.
        """
        if self.outputs[-1] >= outputs:
            raise ClaimError(
                f"output {self.outputs[-1]} was selected, but the networks have {outputs} outputs, "
                f"0 to {outputs - 1}"
            )
        self.base.check(len(self.outputs))

    def columns(self, outputs: int) -> tuple[int, ...]:  # noqa: ARG002
        """The selected outputs."""
        return self.outputs

    def per_output(self, magnitude: Float) -> tuple[float, ...]:
        """Those of the base, for the selected outputs."""
        return self.base.per_output(magnitude)

    def formula(self, f: str = "f(x)", g: str = "g(x)") -> str:
        """That of the base, with the indices in brackets."""
        return self.base.formula(self._part(f), self._part(g))

    def event(self, tolerance: float, f: str = "f(x)", g: str = "g(x)") -> str:
        """That of the base, with the indices in brackets."""
        return self.base.event(tolerance, self._part(f), self._part(g))

    def bound(self, tolerance: float, unit: str, f: str = "f(x)", g: str = "g(x)") -> str:
        """That of the base, with the indices in brackets."""
        return self.base.bound(tolerance, unit, self._part(f), self._part(g))

    def evaluate(self, f: Float, g: Float) -> Float:
        """That of the base at the selected outputs: what the others are does not matter."""
        self.check(f.shape[1])
        return self.base.evaluate(f[:, self.outputs], g[:, self.outputs])

    def rows(self, outputs: int) -> Rows:
        """Those of the base, with coefficients 0 for the other outputs."""
        self.check(outputs)
        part = self.base.rows(len(self.outputs))

        def embedded(coefficients: Float) -> Float:
            whole = np.zeros((len(coefficients), outputs))
            whole[:, self.outputs] = coefficients
            return whole

        return Rows(embedded(part.f), embedded(part.g), embedded(part.difference))

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:
        """That of the base: the rows are the same."""
        return self.base.cover(tolerance, magnitudes)

    def _part(self, network: str) -> str:
        return f"{network}[{_list(self.outputs)}]"

    def _evaluate(self, f: Float, g: Float) -> Float:
        return self.base._evaluate(f[:, self.outputs], g[:, self.outputs])

    def _upper(self, lower: Float, upper: Float) -> Float:
        return self.base._upper(lower, upper)

    def _lower(self, lower: Float, upper: Float) -> Float:
        return self.base._lower(lower, upper)


def _list(indices: tuple[int, ...]) -> str:
    return ", ".join(str(index) for index in indices)
