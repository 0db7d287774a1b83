"""What is to be shown of a pair of networks."""

import math
from dataclasses import dataclass
from typing import Any

from simcert.claim.distributions import Distribution, Uniform
from simcert.claim.divergences import Divergence, LInf, Selected
from simcert.claim.region import Region
from simcert.errors import ClaimError
from simcert.numerals import exact

ARITHMETICS = ("float32", "real")

_UNIFORM, _LINF = Uniform(), LInf()


@dataclass(frozen=True, eq=False)
class Claim:
    """A region, an input distribution on it, a divergence, and how large it may be how often.

    With a tolerance ε and no ``max_violation``: d(f(x), g(x)) ≤ ε for every x of the region. With
    both: P(d > ε) ≤ ``max_violation``. Without a tolerance nothing is claimed; the question is how
    large d can be.

    Attributes:
        region: where the inputs lie.
        distribution: how they are distributed.
        divergence: how outputs are compared.
        tolerance: ε, in the unit of the divergence.
        max_violation: the allowed probability of d > ε.
        confidence: of statements that rest on draws.
        arithmetic: "float32": the claim is about what any conforming float32 runtime computes;
            "real": about the networks over the reals.

    Raises:
        ClaimError: a value outside its range, a tolerance that d can never exceed, or an
            arithmetic that is not known.
    """

    region: Region
    distribution: Distribution = _UNIFORM
    divergence: Divergence = _LINF
    tolerance: float | None = None
    max_violation: float | None = None
    confidence: float = 0.999
    arithmetic: str = "float32"

    def __post_init__(self) -> None:
        if self.tolerance is not None:
            self._check_tolerance(self.tolerance)
        if self.max_violation is not None and not 0 < self.max_violation < 1:
            raise ClaimError(
                f"the allowed probability of violation must lie between 0 and 1, "
                f"not {self.max_violation}; leave it out to claim that no input violates"
            )
        if not 0 < 1.0 - self.confidence < 1:
            raise ClaimError(
                f"the confidence must lie between 0 and 1, not {self.confidence}; try 0.999"
            )
        if self.arithmetic not in ARITHMETICS:
            raise ClaimError(
                f"unknown arithmetic {self.arithmetic!r}; known: {', '.join(ARITHMETICS)}"
            )

    def _check_tolerance(self, tolerance: float) -> None:
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise ClaimError(f"the tolerance must be finite and not negative, not {tolerance}")
        largest = self.divergence.range(2)  # no range here depends on the number of outputs
        if tolerance >= largest:
            raise ClaimError(
                f"{self.divergence.name} never exceeds {largest}, so a tolerance of {tolerance} "
                "claims nothing; choose a smaller one"
            )

    def sentence(self, output_units: str = "output units") -> str:
        """The claim, or the question, in one sentence.

        Args:
            output_units: the unit of the networks' outputs, if it is known.
        """
        d = self.divergence
        unit = output_units if d.unit == "output units" else d.unit
        if self.tolerance is None:
            if d.unit == "disagreement":
                return f"how often, if ever, is it that {d.event(0.0)} {self._law()}?"
            return f"how large can {d.formula()} become for x in R ({unit}), {self._where()}?"
        if self.max_violation is None:
            return f"{d.bound(self.tolerance, unit)}, {self._where()}"
        return (
            f"P({d.event(self.tolerance)}) ≤ {self.max_violation} {self._law()}, "
            f"with confidence {self.confidence}, {self._where()}"
        )

    def _where(self) -> str:
        """The arithmetic in words."""
        return "over the reals" if self.arithmetic == "real" else "in float32"

    def _law(self) -> str:
        """The distribution of x on the region in words."""
        boxes, law = self.region.boxes, self.distribution.describe()
        if not (self.region.upper > self.region.lower).any():
            return f"for x drawn by weight from the {boxes} point{'s' * (boxes > 1)} of R"
        if boxes == 1:
            return f"for x {law} on R"
        return f"for x {law} on one of the {boxes} boxes of R, drawn by weight"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; numbers that are compared also in hexadecimal."""
        d = self.divergence
        return {
            "sentence": self.sentence(),
            "region": self.region.to_dict(),
            "distribution": self.distribution.spec,
            "divergence": d.spec,
            "decision": d.decision,
            "outputs": list(d.outputs) if isinstance(d, Selected) else None,
            "unit": d.unit,
            **exact("tolerance", self.tolerance),
            **exact("max_violation", self.max_violation),
            **exact("confidence", self.confidence),
            "arithmetic": self.arithmetic,
        }
