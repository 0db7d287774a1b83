"""Hoeffding's inequality: the mean of a bounded variable, whatever its variance."""

import math

from simcert.sampling.checks import check_alpha, check_mean, check_samples
from simcert.sampling.rounding import up


def mean_upper(n: int, mean: float, range_: float, alpha: float) -> float:
    """Return an upper confidence bound of E[X], one-sided, at a number of samples fixed beforehand.

        E[X] <= mean + R sqrt(ln(1/alpha) / (2 n))    with probability at least 1 - alpha

    Source: W. Hoeffding, Probability inequalities for sums of bounded random variables, Journal of
    the American Statistical Association 58 (1963), theorem 2 (equation 2.3), for -X.

    Conditions: X_1..X_n independent, all in [0, R], with R known before the first draw (a proved
    range; never the observed maximum).

    Args:
        n: number of samples, at least 1.
        mean: sample mean, in [0, R].
        range_: R, finite.
        alpha: probability of error.

    Returns:
        The bound, rounded up, at most R.

    Raises:
        ValueError: an argument is outside its domain or NaN.
    """
    check_samples(n)
    check_mean(mean, range_)
    check_alpha(alpha)
    return min(range_, up(mean + range_ * math.sqrt(-math.log(alpha) / (2.0 * n))))
