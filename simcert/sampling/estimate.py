"""Carries out a plan: draws from the undecided leaves, runs the files, states what follows.

With W the weight of the undecided leaves U that are drawn from (see ``Leaves``), F the mass of the
leaves proved to violate, A a certain bound of P(d > eps) on undecided leaves that are not drawn
from, and u, l confidence bounds of the probability v that a *draw* violates,

    P(d > eps) <= F + A + min(P(U), W u)
    P(d > eps) >= F + P(U) - W (1 - l)

The second line is the first one for the complement, P(U and d <= eps) <= W (1 - v): it needs a
lower bound of P(U), but nothing about how the masses of the single leaves were rounded. Likewise
E[d] <= E[d; other leaves] + W E[d of a draw], and P(d > t) <= F + A + W P(d of a draw > t) for
every t that is at least eps where A is not 0, and at least the proved bound of d on the leaves
proved to satisfy the claim.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from simcert.errors import ClaimError
from simcert.progress import Progress, Silent
from simcert.sampling import betting, clopper_pearson, empirical_bernstein, hoeffding
from simcert.sampling.draws import Draws, Sampler
from simcert.sampling.histogram import Histogram
from simcert.sampling.moments import Moments
from simcert.sampling.plan import (
    MEAN_UPPER,
    QUANTILES,
    VIOLATION_LOWER,
    VIOLATION_UPPER,
    Plan,
    quantile_statement,
)
from simcert.sampling.quantile import upper_rank
from simcert.sampling.remainder import Float, Remainder
from simcert.sampling.rounding import above, below, up
from simcert.sampling.statistics import Ended, OutputStatistics, Quantile, Statistics

Run: TypeAlias = Callable[[Float], Float]
"""From inputs (n, inputs) to their divergences (n,), by running both files.

Or (n, 1 + outputs): the divergences, then |f_i - g_i| of the outputs that the plan names.
"""


def estimate(
    plan: Plan,
    remainder: Remainder,
    sampler: Sampler,
    run: Run,
    *,
    dtype: DTypeLike = np.float32,
    deadline: float | None = None,
    progress: Progress | None = None,
    workers: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> Statistics:
    """Draws as the plan says and returns what is certified.

    The result depends on the plan and the remainder only, not on the number of workers; a deadline
    that cuts the run short makes it a result about fewer draws.

    Args:
        plan: made for this remainder, before any draw.
        remainder: what the search left.
        sampler: the claim's distribution.
        run: must be callable from several threads if ``workers`` > 1. A divergence that is NaN or
            +inf counts as a violation; one below 0 as 0.
        dtype: input type of the models.
        deadline: value of ``clock`` after which no chunk is begun; None for no limit.
        progress: is told after each chunk.
        workers: threads that draw and run.
        clock: where the time comes from.

    Raises:
        ClaimError: the plan was made for something else, or does not allow a deadline.
        ValueError: ``run`` or ``sampler`` broke their contract.
    """
    if plan.strata != remainder.digest():
        raise ClaimError("the sampling plan was made for other leaves: make it anew before drawing")
    if deadline is not None and plan.stopping == "planned":
        raise ClaimError("a plan with stopping 'planned' cannot be cut: use 'deadline'")
    if plan.method == "exhaustive":
        draw = _points(remainder, plan.chunk)
    else:
        draw = Draws(
            remainder.leaves,
            sampler,
            seed=plan.seed,
            stream=plan.stream,
            rows=plan.chunk,
            dtype=dtype,
        ).chunk
    sample = _collect(plan, remainder, draw, run, deadline, progress or Silent(), workers, clock)
    return _state(plan, remainder, sample)


# -- collecting ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """The divergences of all draws, in order, and where the largest was."""

    divergences: Float
    differences: Float
    stopped: Ended
    maximum: float
    maximum_input: tuple[float, ...]


@dataclass(frozen=True)
class _Chunk:
    divergences: Float
    differences: Float
    maximum: float
    maximum_input: Float


def _points(remainder: Remainder, rows: int) -> Callable[[int], Float]:
    return lambda index: remainder.leaves.lower[index * rows : (index + 1) * rows]


def _collect(
    plan: Plan,
    remainder: Remainder,
    draw: Callable[[int], Float],
    run: Run,
    deadline: float | None,
    progress: Progress,
    workers: int,
    clock: Callable[[], float],
) -> _Sample:
    """Run chunk after chunk until the plan, the claim or the clock says stop."""

    def work(index: int) -> _Chunk:
        x = draw(index)[: plan.samples - index * plan.chunk]
        values = np.asarray(run(x), dtype=np.float64)
        if values.shape not in ((len(x),), (len(x), 1 + len(plan.outputs))):
            raise ValueError(
                f"running {len(x)} inputs returned divergences of shape {values.shape}"
            )
        values = np.where(np.isnan(values), np.inf, np.maximum(values, 0.0)).reshape(len(x), -1)
        d = values[:, 0]
        largest = int(d.argmax())
        return _Chunk(d, values[:, 1:], float(d[largest]), x[largest])

    divergences, differences = np.empty(plan.samples), []
    drawn = violations = 0
    maximum, where = -1.0, np.empty(0)
    stopped: Ended = "planned"
    with closing(_in_order(work, -(-plan.samples // plan.chunk), workers)) as chunks:
        while drawn < plan.samples:
            if deadline is not None and clock() >= deadline:
                stopped = "deadline"
                break
            chunk = next(chunks)
            count = len(chunk.divergences)
            divergences[drawn : drawn + count] = chunk.divergences
            differences.append(chunk.differences)
            drawn += count
            if chunk.maximum > maximum:
                maximum, where = chunk.maximum, chunk.maximum_input
            progress.update("sampling", undecided=remainder.mass_upper, samples=drawn)
            if plan.stopping == "early" and plan.tolerance is not None and drawn < plan.samples:
                violations += int(np.count_nonzero(chunk.divergences > plan.tolerance))
                if _decided(plan, remainder, violations, drawn):
                    stopped = "early"
                    break
    return _Sample(
        divergences[:drawn],
        np.concatenate(differences) if differences else np.empty((0, 0)),
        stopped,
        max(0.0, maximum),
        tuple(where.tolist()),
    )


def _in_order(
    work: Callable[[int], _Chunk], count: int, workers: int
) -> Generator[_Chunk, None, None]:
    """Yield work(0), ..., work(count - 1) in this order, a few ahead when there are workers."""
    if workers <= 1:
        yield from map(work, range(count))
        return
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[_Chunk]] = deque()
        try:
            for index in range(count):
                pending.append(pool.submit(work, index))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _decided(plan: Plan, remainder: Remainder, violations: int, drawn: int) -> bool:
    """Whether the time-uniform bounds decide the claim P(d > eps) <= p."""
    if plan.max_violation is None:
        return False
    upper, lower = _violation_bounds(plan, remainder, violations, drawn, 1.0)
    return (upper is not None and upper <= plan.max_violation) or (
        lower is not None and lower > plan.max_violation
    )


# -- stating ---------------------------------------------------------------------------------


def _state(plan: Plan, remainder: Remainder, sample: _Sample) -> Statistics:
    """Turn the draws into the statements of the ledger."""
    drawn = len(sample.divergences)
    if plan.method == "clopper-pearson":
        samples, share = next((c for c in plan.checkpoints() if c[0] <= drawn), (0, 0.0))
    else:
        samples, share = drawn, 1.0
    d = sample.divergences[:samples]
    violations = None
    upper = lower = None
    if plan.tolerance is not None:
        violating = d > plan.tolerance
        violations = int(np.count_nonzero(violating))
        if plan.method == "exhaustive":
            upper, lower = _exhaustive_violation(remainder, violating)
        else:
            upper, lower = _violation_bounds(plan, remainder, violations, samples, share)
    exceeded = drawn > 0 and sample.maximum > remainder.leaves.range
    moments = Moments.of(d)
    mean, mean_method, beside, reason = _mean(plan, remainder, d, moments, share, exceeded)
    return Statistics(
        plan=plan,
        stopped=sample.stopped,
        drawn=drawn,
        samples=samples,
        share=share,
        violations=violations,
        violation_upper=upper,
        violation_lower=lower,
        moments=moments,
        mean_upper=mean,
        mean_method=mean_method,
        mean_beside=beside,
        mean_reason=reason,
        maximum=sample.maximum,
        maximum_input=sample.maximum_input,
        curve=_quantiles(plan, remainder, sample.divergences, plan.levels),
        per_output=_per_output(plan, remainder, sample.differences),
        histogram=Histogram.of(sample.divergences),
        range_exceeded=exceeded,
        remainder=remainder,
    )


def _violation_upper(remainder: Remainder, conditional: Fraction) -> float:
    """P(d > eps) <= F + A + min(P(U), W u), rounded up."""
    part = Fraction(remainder.leaves.weight) * conditional
    part = min(Fraction(remainder.mass_upper), part)
    return min(1.0, above(remainder.certain_upper + part))


def _violation_lower(remainder: Remainder, conditional: Fraction) -> float:
    """P(d > eps) >= F + max(0, P(U) - W (1 - l)), rounded down."""
    complement = Fraction(remainder.leaves.weight) * (1 - conditional)
    part = max(Fraction(0), Fraction(remainder.mass_lower) - complement)
    return max(0.0, below(Fraction(remainder.violated_lower) + part))


def _violation_bounds(
    plan: Plan, remainder: Remainder, violations: int, samples: int, share: float
) -> tuple[float | None, float | None]:
    """Upper and lower bound of P(d > eps) from draws; None where the ledger has no statement."""
    if plan.method == "betting":
        upper_of, lower_of = betting.violation_upper, betting.violation_lower
    else:
        upper_of, lower_of = clopper_pearson.upper, clopper_pearson.lower
    upper, lower = plan.alpha(VIOLATION_UPPER), plan.alpha(VIOLATION_LOWER)
    most, least = 1.0, 0.0
    if samples and upper is not None:
        most = upper_of(violations, samples, upper * share)
    if samples and lower is not None:
        least = lower_of(violations, samples, lower * share)
    return (
        None if upper is None else _violation_upper(remainder, Fraction(most)),
        None if lower is None else _violation_lower(remainder, Fraction(least)),
    )


def _exhaustive_violation(
    remainder: Remainder, violating: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[float, float]:
    """Certain bounds from every point; points that were not reached may go either way."""
    tickets = remainder.leaves.tickets
    total = int(tickets.sum())
    seen = int(tickets[: len(violating)].sum())
    bad = int(tickets[: len(violating)][violating].sum())
    return (
        _violation_upper(remainder, Fraction(bad + total - seen, total)),
        _violation_lower(remainder, Fraction(bad, total)),
    )


def _mean(
    plan: Plan, remainder: Remainder, d: Float, moments: Moments, share: float, exceeded: bool
) -> tuple[float | None, str, tuple[tuple[str, float], ...], str]:
    """Upper bound of E[d], its method, bounds by other methods, or the reason for none."""
    alpha, range_ = plan.alpha(MEAN_UPPER), remainder.leaves.range
    if exceeded:
        return None, "", (), "a draw exceeded the proved range"
    if math.isinf(remainder.decided_mean):
        return None, "", (), "no proved bound on a decided leaf"
    if plan.method == "exhaustive":
        mean = _exhaustive_mean(remainder, d)
        if math.isinf(mean):
            return None, "", (), "a point has no finite divergence or was not reached"
        return _whole_mean(remainder, mean), "exhaustive", (), ""
    if math.isinf(range_):
        return None, "", (), "no proved range"
    if alpha is None:
        return None, "", (), "not stated"
    if range_ == 0.0 or moments.n < 2 or math.isinf(moments.sum):
        return _whole_mean(remainder, remainder.certain_mean), "proved ranges", (), ""
    alpha *= share
    cap, rest = remainder.leaves.capped(empirical_bernstein.range_factor(plan.samples, alpha))
    capped = np.minimum(d, cap)
    if (capped < d).any():
        moments = Moments.of(capped)
    bettor = betting.MeanBound(cap, alpha)
    for start in range(0, len(d), plan.chunk):
        bettor.add(capped[start : start + plan.chunk])
    by_betting = _whole_mean(remainder, bettor.upper(), rest)
    if plan.method == "betting":
        return by_betting, "betting", (), ""
    n, mean = moments.n, min(cap, moments.mean_upper)
    bernstein = empirical_bernstein.mean_upper(n, mean, moments.variance_upper, cap, alpha)
    by_hoeffding = hoeffding.mean_upper(n, mean, cap, alpha)
    beside = (
        ("hoeffding", _whole_mean(remainder, by_hoeffding, rest)),
        ("betting", by_betting),
    )
    return _whole_mean(remainder, bernstein, rest), "empirical-bernstein", beside, ""


def _whole_mean(remainder: Remainder, conditional: float, rest: float = 0.0) -> float:
    """E[d] <= E[d; other leaves] + W (m + rest), rounded up; never above what ranges say."""
    conditional = up(conditional + rest) if rest else conditional
    part = Fraction(remainder.leaves.weight) * Fraction(min(conditional, remainder.certain_mean))
    return above(Fraction(remainder.decided_mean) + part)


def _exhaustive_mean(remainder: Remainder, d: Float) -> float:
    """Mean over all points; a point that was not reached counts with its proved range."""
    leaves = remainder.leaves
    values = np.append(d, leaves.ranges[len(d) :])
    return up(math.fsum((leaves.tickets * values).tolist()) / int(leaves.tickets.sum()))


def _quantiles(
    plan: Plan,
    remainder: Remainder,
    values: Float,
    levels: Iterable[float],
    output: int | None = None,
) -> tuple[Quantile, ...]:
    """Bounds of the quantiles that the ledger names; of all of them when exhaustive."""
    exhaustive = plan.method == "exhaustive"
    reached = next((n for n, _ in plan.checkpoints() if n <= len(values)), 0)
    ordered = np.empty(0) if exhaustive else np.sort(values[:reached])
    return tuple(
        _quantile(plan, remainder, values, ordered, level, output)
        for level in levels
        if exhaustive or plan.alpha(quantile_statement(level, output)) is not None
    )


def _per_output(
    plan: Plan, remainder: Remainder, differences: Float
) -> tuple[OutputStatistics, ...]:
    """What holds of |f_i - g_i|, which is at most d, for the plan's outputs."""
    return tuple(
        OutputStatistics(
            output,
            float(values.max(initial=0.0)),
            _quantiles(plan, remainder, values, QUANTILES, output),
        )
        for output, values in zip(plan.outputs, differences.T, strict=False)
    )


def _quantile(
    plan: Plan,
    remainder: Remainder,
    values: Float,
    ordered: Float,
    level: float,
    output: int | None,
) -> Quantile:
    """The t with P(d > t) <= F + A + W tail = 1 - level, where P(d of a draw > t) <= tail.

    ``ordered`` are the values up to the last checkpoint that was reached, in order.
    """
    left = 1 - Fraction(level) - remainder.certain_upper
    if left >= Fraction(remainder.mass_upper):
        return Quantile(level, remainder.proved_bound, 0, None)
    tail = below(left / Fraction(remainder.leaves.weight))
    samples, rank, value = 0, None, math.inf
    if plan.method == "exhaustive":
        samples, value = len(values), _exhaustive_quantile(remainder, values, tail)
    elif tail > 0.0:
        samples, rank = _rank(plan, len(values), tail, quantile_statement(level, output))
        if rank is not None:
            value = float(ordered[rank - 1])
    bound = max(value, remainder.proved_bound)
    return Quantile(level, bound if math.isfinite(bound) else None, samples, rank)


def _rank(plan: Plan, drawn: int, tail: float, statement: str) -> tuple[int, int | None]:
    """The last checkpoint that was reached, and the rank that serves there."""
    alpha = plan.alpha(statement)
    for samples, share in plan.checkpoints():
        if samples <= drawn and alpha is not None:
            return samples, upper_rank(samples, tail, alpha * share)
    return 0, None


def _exhaustive_quantile(remainder: Remainder, divergences: Float, tail: float) -> float:
    """The smallest value t that was seen with P(d > t) <= tail; inf if there is none."""
    tickets = remainder.leaves.tickets
    order = np.argsort(divergences, kind="stable")
    # How many tickets have values after this one in the order, or were not reached.
    after = int(tickets.sum()) - np.cumsum(tickets[: len(divergences)][order])
    enough = np.flatnonzero(after <= math.floor(Fraction(tail) * int(tickets.sum())))
    return float(divergences[order[enough[0]]]) if enough.size else math.inf
