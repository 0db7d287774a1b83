"""The plan of a sampling run: all that the guarantee depends on, fixed before the first draw.

Stopping. A bound for a number of samples fixed beforehand is false when the number depends on the
data: looked at 50 times, it errs 7 % of the time instead of 1 %. So a plan is one of

- ``planned``: exactly ``samples`` draws, whatever happens; no clock may cut it.
- ``deadline``: ``samples`` draws, or fewer when the clock runs out. A clock is not independent of
  the data either (a slow input is an input), so the fixed-n bounds are allowed at a list of
  *checkpoints* only, which is part of the plan and shares alpha: 7/8 at all n draws, 1/16 at n/2,
  1/32 at n/4, and so on. The last checkpoint that was reached is used. By the union bound this
  holds for any reason to stop; a run that is not cut pays 7/8 of alpha, about 3 % of the width.
- ``early``: stops as soon as the claim is decided, or at ``samples`` draws, or when the clock runs
  out. The bounds of P(d > eps) and of the mean are the time-uniform ones of ``betting``; quantiles
  use the checkpoints.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from simcert.errors import ClaimError
from simcert.numerals import exact
from simcert.sampling.draws import chunk_rows
from simcert.sampling.remainder import Remainder
from simcert.sampling.rounding import down

Method: TypeAlias = Literal["clopper-pearson", "betting", "exhaustive"]
Stopping: TypeAlias = Literal["planned", "deadline", "early"]

VIOLATION_UPPER = "violation upper"
VIOLATION_LOWER = "violation lower"
MEAN_UPPER = "mean upper"
QUANTILES = (0.5, 0.9, 0.99, 0.999)

MAX_OUTPUTS = 16
"""Most outputs of which statements of their own are made."""

_CURVE = (2.0, 5.0, 10.0)
"""Tails of the curve, within a decade."""

MAX_SAMPLES = 100_000_000
"""The divergence of every draw is kept, eight bytes each."""

_STOPPING: dict[Method, tuple[Stopping, ...]] = {
    "clopper-pearson": ("planned", "deadline"),
    "betting": ("early",),
    "exhaustive": ("planned", "deadline"),
}


def quantile_statement(level: float, output: int | None = None) -> str:
    """Name in the ledger of the statement "P(d > t) <= 1 - level", or of |f_i - g_i| for d."""
    return f"quantile {level!r}" + ("" if output is None else f" of output {output}")


_VIOLATIONS = {VIOLATION_UPPER, VIOLATION_LOWER}
_QUANTILE = re.compile(r"quantile 0\.[0-9]+( of output [0-9]+)?", re.ASCII)


def is_statement(text: str) -> bool:
    """Whether a ledger may name it."""
    return text in _VIOLATIONS | {MEAN_UPPER} or _QUANTILE.fullmatch(text) is not None


@dataclass(frozen=True)
class Plan:
    """What will be drawn, what will be stated and what each statement may cost.

    Attributes:
        method: for P(d > eps): exact binomial, betting, or every point of a finite support.
        samples: n, the number of draws (of points when exhaustive).
        seed: of all draws, not negative.
        stream: keeps draws made for different purposes with one seed independent.
        chunk: draws made from one generator (see ``draws``); also where a run may stop.
        confidence: 1 - alpha for all statements jointly; 1 when exhaustive.
        family: number of runs (variants, tolerances) among which alpha is divided.
        tolerance: eps; None when nothing is said about violations.
        max_violation: p of the claim P(d > eps) <= p, or None.
        stopping: see the module.
        strata: digest of the ``Remainder`` that is drawn from, with its proved ranges.
        ledger: (statement, alpha) for every statement that will be made; union bound.
        levels: of the quantiles of d that will be stated: the points of the curve t ↦ P(d > t).
        outputs: of which |f_i - g_i| gets quantiles of its own.
    """

    method: Method
    samples: int
    seed: int
    stream: int
    chunk: int
    confidence: float
    family: int
    tolerance: float | None
    max_violation: float | None
    stopping: Stopping
    strata: str
    ledger: tuple[tuple[str, float], ...]
    levels: tuple[float, ...] = QUANTILES
    outputs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.stopping not in _STOPPING[self.method]:
            raise ClaimError(
                f"the {self.method} bound does not allow stopping {self.stopping!r}: a bound for a "
                f"planned number of samples is false when it is looked at on the way; use "
                f"{' or '.join(_STOPPING[self.method])}, or betting to stop early"
            )
        if not 1 <= self.samples <= MAX_SAMPLES:
            raise ClaimError(f"samples must lie between 1 and {MAX_SAMPLES}, not {self.samples}")
        if self.seed < 0 or self.stream < 0 or self.chunk < 1 or self.family < 1:
            raise ClaimError("seed and stream must not be negative; chunk and family at least 1")
        if self.tolerance is not None and not 0.0 <= self.tolerance < math.inf:
            raise ClaimError(f"the tolerance must be finite, not negative: {self.tolerance!r}")
        if self.max_violation is not None and not 0.0 < self.max_violation < 1.0:
            raise ClaimError(f"max_violation must lie in (0, 1), not {self.max_violation!r}")
        statements = {statement for statement, _ in self.ledger}
        unknown = sorted(text for text in statements if not is_statement(text))
        if unknown:
            raise ClaimError(f"unknown statements: {', '.join(unknown)}")
        if self.tolerance is None and (self.max_violation is not None or statements & _VIOLATIONS):
            raise ClaimError("a statement about P(d > ε) needs a tolerance ε")
        if self.method == "exhaustive":
            if self.ledger or self.confidence != 1.0:
                raise ClaimError("an exhaustive run has confidence 1 and spends no alpha")
            return
        if not 0.0 < self.confidence < 1.0:
            raise ClaimError(f"the confidence must lie in (0, 1), not {self.confidence!r}")
        if len(statements) != len(self.ledger) or not all(a > 0.0 for _, a in self.ledger):
            raise ClaimError("the ledger must name each statement once, each with some alpha")
        spent = sum(Fraction(alpha) for _, alpha in self.ledger)
        if spent * self.family > 1 - Fraction(self.confidence):
            raise ClaimError("the ledger spends more than 1 - confidence over the family")

    def alpha(self, statement: str) -> float | None:
        """What a statement may cost; None when it is not made."""
        return dict(self.ledger).get(statement)

    def checkpoints(self) -> Iterator[tuple[int, float]]:
        """Numbers of samples at which fixed-n bounds are allowed, and their shares of alpha."""
        if self.stopping == "planned":
            yield self.samples, 1.0
            return
        yield self.samples, 0.875
        n, share = self.samples // 2, 0.0625
        while n >= 1:
            yield n, share
            n, share = n // 2, share / 2.0

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, with every number that a bound depends on stored exactly."""
        return {
            "method": self.method,
            "samples": self.samples,
            "seed": self.seed,
            "stream": self.stream,
            "chunk": self.chunk,
            **exact("confidence", self.confidence),
            "family": self.family,
            **exact("tolerance", self.tolerance),
            **exact("max_violation", self.max_violation),
            "stopping": self.stopping,
            "checkpoints": [
                {"samples": n, **exact("share", share)} for n, share in self.checkpoints()
            ],
            "strata": self.strata,
            "alpha_ledger": [
                {"statement": statement, **exact("alpha", alpha)}
                for statement, alpha in self.ledger
            ],
        }

    def digest(self) -> str:
        """Lower-case hexadecimal SHA-256 of the canonical JSON form (sorted keys, no spaces)."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def make_plan(
    remainder: Remainder,
    *,
    samples: int,
    seed: int,
    confidence: float,
    tolerance: float | None = None,
    max_violation: float | None = None,
    stopping: Stopping = "deadline",
    statements: Sequence[str] | None = None,
    outputs: Sequence[int] = (),
    family: int = 1,
    stream: int = 0,
) -> Plan:
    """Chooses the method and divides alpha; to be called before the first draw.

    A finite support of at most ``samples`` points is enumerated. Otherwise the stopping rule
    determines the method. Half of alpha goes to the claim (``max_violation``) when there is one,
    the rest in equal parts to what is reported beside it; without a claim all parts are equal.

    Args:
        remainder: what will be drawn from.
        samples: most draws.
        seed: of the draws.
        confidence: 1 - alpha, for all statements jointly.
        tolerance: eps or None.
        max_violation: p of the claim P(d > eps) <= p or None.
        stopping: "planned", "deadline" or "early".
        statements: what is to be stated; by default everything that can be: VIOLATION_UPPER and
            VIOLATION_LOWER if there is a tolerance, MEAN_UPPER if d has a proved range, and
            ``quantile_statement`` of each of QUANTILES, of the levels of a curve, and of QUANTILES
            for each output.
        outputs: of which |f_i - g_i| is stated too; of more than MAX_OUTPUTS none is.
        family: number of runs that share the confidence (variants compared, tolerances swept).
        stream: see ``Plan``.

    Raises:
        ClaimError: an argument is outside its domain.
    """
    exhaustive = remainder.leaves.are_points and len(remainder.leaves) <= samples
    method: Method = "betting" if stopping == "early" else "clopper-pearson"
    if exhaustive:
        method, samples, confidence = "exhaustive", len(remainder.leaves), 1.0
        stopping = "planned" if stopping == "planned" else "deadline"
    alpha = 0.0 if exhaustive else down((1.0 - confidence) / max(1, family))
    outputs = tuple(outputs) if len(outputs) <= MAX_OUTPUTS else ()
    levels: tuple[float, ...] = QUANTILES
    if statements is None:
        if exhaustive or 0.0 < alpha < 1.0:
            levels = _levels(remainder, samples, None if exhaustive else alpha)
        statements = _everything(remainder, tolerance, levels, outputs)
    claim = VIOLATION_UPPER if max_violation is not None else None
    return Plan(
        method=method,
        samples=samples,
        seed=seed,
        stream=stream,
        chunk=chunk_rows(remainder.leaves.inputs),
        confidence=confidence,
        family=family,
        tolerance=tolerance,
        max_violation=max_violation,
        stopping=stopping,
        strata=remainder.digest(),
        ledger=() if exhaustive else _divide(alpha, statements, claim),
        levels=levels,
        outputs=outputs,
    )


def _levels(remainder: Remainder, samples: int, alpha: float | None) -> tuple[float, ...]:
    """QUANTILES, and 1 - tail for tails 1/2, 1/5, 1/10, 1/20, ... that draws can show.

    Tails at most what is certain outside of what is drawn from are out of reach, tails above the
    mass of what is drawn from need no draw, and n draws show no tail below ln(1/alpha)/n. Nothing
    here depends on a draw.
    """
    weight, certain = remainder.leaves.weight, float(remainder.certain_upper)
    least = (1.0 if alpha is None else -2.0 * math.log(alpha)) / max(1, samples)
    tails = (1.0 / (step * 10.0**decade) for decade in range(15) for step in _CURVE)
    reachable = (t for t in tails if certain + weight * least <= t < certain + weight)
    return tuple(sorted({*QUANTILES, *(1.0 - tail for tail in reachable)}))


def _everything(
    remainder: Remainder,
    tolerance: float | None,
    levels: Sequence[float],
    outputs: Sequence[int],
) -> tuple[str, ...]:
    violations = () if tolerance is None else (VIOLATION_UPPER, VIOLATION_LOWER)
    mean = () if math.isinf(remainder.leaves.range) else (MEAN_UPPER,)
    each = (quantile_statement(level, output) for output in outputs for level in QUANTILES)
    return (*violations, *mean, *map(quantile_statement, levels), *each)


def _divide(
    alpha: float, statements: Sequence[str], claim: str | None
) -> tuple[tuple[str, float], ...]:
    """Half of alpha to the claim, of the rest half to quantiles and half to the others.

    Equal parts within each of the three; where one is empty its part goes to the others.
    """
    claimed = [statement for statement in statements if statement == claim]
    rest = [statement for statement in statements if statement != claim]
    quantiles = [statement for statement in rest if _QUANTILE.fullmatch(statement)]
    others = [statement for statement in rest if not _QUANTILE.fullmatch(statement)]
    ledger = []
    for group, later in ((claimed, rest), (others, quantiles), (quantiles, [])):
        own = alpha / 2.0 if later else alpha
        if group:
            ledger += [(statement, down(own / len(group))) for statement in group]
            alpha -= own
    return tuple(ledger)
