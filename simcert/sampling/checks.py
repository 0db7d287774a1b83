"""Refuses arguments for which the inequalities say nothing; a NaN satisfies no comparison."""

import math


def check_alpha(alpha: float) -> None:
    """Requires 0 < alpha < 1."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha!r}")


def check_samples(n: int, least: int = 1) -> None:
    """Requires n >= least."""
    if not n >= least:
        raise ValueError(f"at least {least} samples are needed, not {n!r}")


def check_count(k: int, n: int) -> None:
    """Requires n >= 1 and 0 <= k <= n."""
    check_samples(n)
    if not 0 <= k <= n:
        raise ValueError(f"{k!r} events among {n} samples")


def check_mean(mean: float, range_: float) -> None:
    """Requires a finite range R > 0 and a mean in [0, R]."""
    if not (range_ > 0.0 and math.isfinite(range_)):
        raise ValueError(f"the range must be positive and finite, not {range_!r}")
    if not 0.0 <= mean <= range_:
        raise ValueError(f"the mean {mean!r} lies outside the range [0, {range_!r}]")


def check_variance(variance: float) -> None:
    """Requires a finite variance >= 0."""
    if not (variance >= 0.0 and math.isfinite(variance)):
        raise ValueError(f"the variance must be finite and not negative, not {variance!r}")
