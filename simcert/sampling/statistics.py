"""What a sampling run states, and the numbers that back each statement."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from simcert.numerals import exact, exact_list
from simcert.sampling.histogram import Histogram
from simcert.sampling.moments import Moments
from simcert.sampling.plan import QUANTILES, Plan
from simcert.sampling.remainder import Remainder

Ended: TypeAlias = Literal["planned", "early", "deadline"]


@dataclass(frozen=True)
class Quantile:
    """P(d > upper) <= 1 - level over the whole region.

    Attributes:
        level: of the quantile.
        upper: its upper confidence bound; None when the draws are too few.
        samples: draws (the first ones) whose order statistic it is; 0 when the bound is certain.
        rank: of the order statistic, counted from the smallest, 1-based; None without one.
    """

    level: float
    upper: float | None
    samples: int
    rank: int | None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "level": self.level,
            **exact("upper", self.upper),
            "samples": self.samples,
            "rank": self.rank,
        }


@dataclass(frozen=True)
class OutputStatistics:
    """What is stated of |f_i - g_i| of one output, over the whole region.

    Attributes:
        output: its index i.
        maximum: largest value seen in any draw; inf for NaN. A fact about draws, not a bound.
        quantiles: upper bounds of its quantiles.
    """

    output: int
    maximum: float
    quantiles: tuple[Quantile, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "output": self.output,
            **exact("maximum", self.maximum),
            "quantiles": [quantile.to_dict() for quantile in self.quantiles],
        }


@dataclass(frozen=True)
class Statistics:
    """The outcome of a plan.

    All statements in the ledger hold jointly with probability at least the plan's confidence over
    the draws; bounds are about the whole region (proved, violating and sampled leaves together),
    ``moments`` about the draws, which are made from the undecided leaves only.

    Attributes:
        plan: fixed before the first draw.
        stopped: "planned" (all draws were made), "early" (the claim was decided) or "deadline".
        drawn: draws that were run.
        samples: the first so many of them are what the bounds of P(d > eps) and of the mean are
            computed from: all, or as many as the last checkpoint allows.
        share: of the ledger's alpha that was spent at this number of samples.
        violations: draws with d > eps among them (d = inf and NaN count); None without a tolerance.
        violation_upper: upper bound of P(d > eps); None when it is not stated.
        violation_lower: lower bound of P(d > eps); None when it is not stated.
        moments: number, sum and sum of squares of d over the same draws.
        mean_upper: upper bound of E[d]; None when there is none, ``mean_reason`` says why.
        mean_method: inequality behind it.
        mean_beside: bounds of E[d] by other methods. Each would hold in place of ``mean_upper``;
            none may be chosen after the draws.
        mean_reason: why there is no bound of the mean; empty otherwise.
        maximum: largest d seen in any draw; inf for NaN. A fact about draws, not a bound.
        maximum_input: the input where it was first seen; empty when nothing was drawn.
        curve: upper bounds t of quantiles of d, P(d > t) <= 1 - level, for all levels of the plan
            at once: with growing level an upper bound of the curve t -> P(d > t), as a staircase.
        per_output: the same of single outputs, for fewer levels.
        histogram: of the divergences of all draws.
        range_exceeded: a draw exceeded ``range``, so the proof and the runs contradict each other.
        remainder: what was drawn from, and what is known of the rest.
    """

    plan: Plan
    stopped: Ended
    drawn: int
    samples: int
    share: float
    violations: int | None
    violation_upper: float | None
    violation_lower: float | None
    moments: Moments
    mean_upper: float | None
    mean_method: str
    mean_beside: tuple[tuple[str, float], ...]
    mean_reason: str
    maximum: float
    maximum_input: tuple[float, ...]
    curve: tuple[Quantile, ...]
    per_output: tuple[OutputStatistics, ...]
    histogram: Histogram
    range_exceeded: bool
    remainder: Remainder = field(repr=False, compare=False)

    @property
    def quantiles(self) -> tuple[Quantile, ...]:
        """Those of `curve` at the levels QUANTILES."""
        return tuple(quantile for quantile in self.curve if quantile.level in QUANTILES)

    @property
    def method(self) -> str:
        """Of the bounds of P(d > eps)."""
        return self.plan.method

    @property
    def confidence(self) -> float:
        """1 - alpha, of all statements jointly."""
        return self.plan.confidence

    @property
    def alpha_ledger(self) -> tuple[tuple[str, float], ...]:
        """What each statement may cost."""
        return self.plan.ledger

    @property
    def range(self) -> float:
        """Proved upper bound of d on the sampled leaves; inf when there is none."""
        return self.remainder.leaves.range

    @property
    def range_source(self) -> str:
        """Where the range comes from."""
        return self.remainder.range_source

    @property
    def sampled_mass(self) -> float:
        """Upper bound of the probability of the sampled leaves."""
        return self.remainder.mass_upper

    @property
    def mean(self) -> float | None:
        """Sample mean of d over the draws from the undecided leaves; None without any."""
        return self.moments.mean if self.moments.n else None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: plain types; null where there is no finite number."""
        return {
            "method": self.method,
            "stopped": self.stopped,
            "drawn": self.drawn,
            "samples": self.samples,
            **exact("share", self.share),
            "violations": self.violations,
            **exact("violation_upper", self.violation_upper),
            **exact("violation_lower", self.violation_lower),
            **exact("sum", self.moments.sum),
            **exact("sum_of_squares", self.moments.squares),
            **exact("mean", self.mean),
            **exact("mean_upper", self.mean_upper),
            "mean_method": self.mean_method,
            "mean_beside": [
                {"method": method, **exact("upper", upper)} for method, upper in self.mean_beside
            ],
            "mean_reason": self.mean_reason or None,
            **exact("maximum", self.maximum),
            **exact_list("maximum_input", self.maximum_input),
            "quantiles": [quantile.to_dict() for quantile in self.quantiles],
            "curve": [quantile.to_dict() for quantile in self.curve],
            "per_output": [output.to_dict() for output in self.per_output],
            "histogram": self.histogram.to_dict(),
            "range_exceeded": self.range_exceeded,
            "remainder": self.remainder.to_dict(),
            **exact("confidence", self.confidence),
            "plan": self.plan.to_dict(),
            "plan_sha256": self.plan.digest(),
        }
