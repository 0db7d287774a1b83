"""The claim of a certificate: what exactly is confirmed, and in which words."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from simcert.checker import document
from simcert.checker.divergences import Divergence
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.interval import Float
from simcert.checker.specification import parse

_WEIGHT_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Region:
    """A union of boxes with weights: ``lower`` and ``upper`` (boxes, inputs), ``weights``."""

    lower: Float
    upper: Float
    weights: Float

    @classmethod
    def of(cls, packed: dict[str, Any]) -> Region:
        """Read the region from the evidence.

        Raises:
            CheckError: it is no region.
        """
        lower, upper = (document.array(packed[name], "float64", 2) for name in ("lower", "upper"))
        weights = document.array(packed["weights"], "float64")
        if lower.shape != upper.shape or 0 in lower.shape or weights.shape != lower.shape[:1]:
            raise CheckError("the arrays of the region do not fit together")
        if not (lower <= upper).all():
            raise CheckError("a box of the region is empty")
        if not (weights >= 0).all() or abs(math.fsum(weights) - 1.0) > _WEIGHT_TOLERANCE:
            raise CheckError("the weights of the region are negative or do not sum to 1")
        return cls(lower, upper, weights)

    @property
    def digest(self) -> str:
        """SHA-256 of lower bounds, upper bounds and weights, little-endian float64."""
        state = hashlib.sha256()
        for values in (self.lower, self.upper, self.weights):
            state.update(values.astype("<f8").tobytes())
        return state.hexdigest()


@dataclass(frozen=True, eq=False)
class Claim:
    """d ≤ ε on all of the region, or P(d > ε) ≤ p under the distribution on it.

    Attributes:
        region: where the inputs lie.
        scale: of the truncated normal; None for the uniform distribution.
        divergence: d of the compared outputs.
        outputs: indices of the compared outputs; None for all.
        tolerance: ε.
        max_violation: p, or None.
        confidence: 1 − α.
        arithmetic: "real", or "float32" for what any float32 runtime computes.
    """

    region: Region
    scale: float | None
    divergence: Divergence
    outputs: tuple[int, ...] | None
    tolerance: float
    max_violation: float | None
    confidence: float
    arithmetic: str

    @classmethod
    def of(cls, stated: dict[str, Any], region: Region) -> Claim:
        """Read the claim and require that its parts fit together.

        Raises:
            CheckError: they do not.
            CannotCheckError: a divergence, a distribution or an arithmetic that is not known.
        """
        if stated["arithmetic"] not in ("real", "float32"):
            raise CannotCheckError(f"the checker does not know {stated['arithmetic']} arithmetic")
        outputs = stated["outputs"]
        if outputs is not None and (not outputs or sorted(set(outputs)) != outputs):
            raise CheckError(f"the compared outputs {outputs} do not increase")
        allowed = stated["max_violation_hex"]
        claim = cls(
            region,
            _scale(stated["distribution"]),
            parse(stated["divergence"], stated["decision"]),
            None if outputs is None else tuple(outputs),
            document.number(stated["tolerance_hex"]),
            None if allowed is None else document.number(allowed),
            document.number(stated["confidence_hex"]),
            stated["arithmetic"],
        )
        claim._check_values()
        claim._check_region(stated["region"])
        if outputs is not None and claim.divergence.names_outputs:
            raise CheckError("the divergence says itself which outputs are compared")
        if stated["unit"] != claim.divergence.unit:
            raise CheckError("the unit of the tolerance is not that of the divergence")
        if stated["sentence"] != claim.sentence():
            raise CheckError(f"the sentence is not what is claimed, which is: {claim.sentence()}")
        return claim

    def _check_values(self) -> None:
        if not 0 <= self.tolerance < self.divergence.supremum:
            raise CheckError(f"a tolerance of {self.tolerance} claims nothing")
        if self.max_violation is not None and not 0 < self.max_violation < 1:
            raise CheckError("the allowed probability is not between 0 and 1")
        if not 0 < self.confidence < 1:
            raise CheckError("the confidence is not between 0 and 1")

    def _check_region(self, stated: dict[str, Any]) -> None:
        """Require that the region in words and numbers is the region of the evidence."""
        region = self.region
        boxes, inputs = region.lower.shape
        if (stated["boxes"], stated["inputs"]) != (boxes, inputs):
            raise CheckError("the numbers of boxes and inputs are not those of the evidence")
        if stated["sha256"] != region.digest:
            raise CheckError("the digest of the region is not that of the evidence")
        for what in ("names", "units"):
            if stated[what] and len(stated[what]) != inputs:
                raise CheckError(f"{len(stated[what])} {what} for {inputs} inputs")
        if stated["bounds"] is None:
            return
        listed = [
            [*box["lower_hex"], *box["upper_hex"], box["weight_hex"]] for box in stated["bounds"]
        ]
        arrays = np.hstack([region.lower, region.upper, region.weights[:, None]])
        if listed != [[value.hex() for value in row] for row in arrays.tolist()]:
            raise CheckError("the listed bounds are not those of the evidence")

    def compared(self, outputs: int) -> tuple[int, ...]:
        """Return the indices of the compared outputs of networks with so many.

        Raises:
            CheckError: they are not there, or too few.
        """
        chosen = tuple(range(outputs)) if self.outputs is None else self.outputs
        if chosen[0] < 0 or chosen[-1] >= outputs or len(chosen) < self.divergence.fewest:
            raise CheckError(f"the claim compares outputs {chosen} of {outputs}")
        return chosen

    def sentence(self) -> str:
        """Return the claim in one sentence."""
        part = "" if self.outputs is None else f"[{', '.join(map(str, self.outputs))}]"
        f, g, d = f"f(x){part}", f"g(x){part}", self.divergence
        where = "over the reals" if self.arithmetic == "real" else "in float32"
        if self.max_violation is None:
            return f"{d.claim(self.tolerance, f, g)}, {where}"
        return (
            f"P({d.event(self.tolerance, f, g)}) ≤ {self.max_violation} {self._law()}, "
            f"with confidence {self.confidence}, {where}"
        )

    def _law(self) -> str:
        boxes = len(self.region.lower)
        if not (self.region.upper > self.region.lower).any():
            return f"for x drawn by weight from the {boxes} point{'s' * (boxes > 1)} of R"
        law = "uniform"
        if self.scale is not None:
            law = (
                "truncated normal (inputs independent, mean at the centre of the box, "
                f"standard deviation {self.scale} half-widths)"
            )
        if boxes == 1:
            return f"for x {law} on R"
        return f"for x {law} on one of the {boxes} boxes of R, drawn by weight"


def _scale(spec: str) -> float | None:
    if spec == "uniform":
        return None
    name, _, text = spec.partition(":scale=")
    if name != "truncated-normal":
        raise CannotCheckError(f"the checker does not know the distribution {spec!r}")
    try:
        scale = float(text)
    except ValueError as error:
        raise CheckError(f"{spec!r} has no scale") from error
    if not 1e-3 <= scale <= 1e3:
        raise CheckError(f"{spec!r} has a scale that is not between 0.001 and 1000")
    return scale
