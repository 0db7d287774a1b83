"""The empirical Bernstein inequality: the mean of a bounded variable from its sample variance."""

import math

from simcert.sampling.checks import check_alpha, check_mean, check_samples, check_variance
from simcert.sampling.rounding import up


def mean_upper(n: int, mean: float, variance: float, range_: float, alpha: float) -> float:
    """Return an upper confidence bound of E[X], one-sided, at a number of samples fixed beforehand.

        E[X] <= mean + sqrt(2 V ln(2/alpha) / n) + 7 R ln(2/alpha) / (3 (n - 1))

    with probability at least 1 - alpha, V = sum_i (x_i - mean)^2 / (n - 1) the unbiased sample
    variance. The 2 in ln(2/alpha) and the 7/3 pay for estimating the variance: half of alpha is
    spent on V, half on the mean.

    Source: A. Maurer and M. Pontil, Empirical Bernstein bounds and sample-variance penalization,
    COLT 2009, theorem 4, scaled from [0, 1] to [0, R].

    Conditions: X_1..X_n independent and identically distributed in [0, R], with R known before the
    first draw (a proved range; never the observed maximum).

    Args:
        n: number of samples, at least 2.
        mean: sample mean, in [0, R].
        variance: V, or any number above it.
        range_: R, finite.
        alpha: probability of error.

    Returns:
        The bound, rounded up, at most R.

    Raises:
        ValueError: an argument is outside its domain or NaN.
    """
    check_samples(n, least=2)
    check_mean(mean, range_)
    check_variance(variance)
    check_alpha(alpha)
    log = math.log(2.0 / alpha)
    deviation = math.sqrt(2.0 * variance * log / n)
    return min(range_, up(mean + deviation + 7.0 * range_ * log / (3.0 * (n - 1))))


def range_factor(n: int, alpha: float) -> float:
    """What `mean_upper` adds for each unit of the range, 7 ln(2/alpha) / (3 (n - 1))."""
    return 7.0 * math.log(2.0 / alpha) / (3.0 * max(1, n - 1))
