"""Time-uniform bounds: they hold at every number of samples at once, so one may stop at any time.

A gambler bets against the hypothesis "the mean is m". If it is true, no strategy that sees only
the past makes the expected capital grow, so by Ville's inequality the capital ever reaches 1/alpha
with probability at most alpha. All m against which the capital has reached 1/alpha are rejected;
whoever stops, whenever and for whatever reason, has a valid confidence bound.

Sources: I. Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting,
Journal of the Royal Statistical Society B 86 (2024; online 2023); J. Ville, Étude critique de la
notion de collectif, 1939; H. Robbins, Statistical methods related to the law of the iterated
logarithm, Annals of Mathematical Statistics 41 (1970), for mixtures.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincc, gammaln

from simcert.sampling.checks import check_alpha, check_count, check_mean
from simcert.sampling.rounding import up

PRIOR = 0.5
"""Exponent of the mixtures over bets; 1/2 favours rare events without giving up frequent ones."""

LARGEST_BET = 0.75
"""Truncation c of the predictable bets (Waudby-Smith and Ramdas recommend 1/2 or 3/4)."""


def violation_upper(k: int, n: int, alpha: float) -> float:
    """Return p with P(event) <= p: with probability at least 1 - alpha, at all n simultaneously.

    Betting against "P(event) = p" on the rate r p, 0 <= r <= 1, multiplies the capital by r at an
    event and by (1 - r p)/(1 - p) otherwise; if P(event) >= p the expected gain is not positive.
    Spreading the first stake over r with density a r^(a-1), a = 1/2, gives (q = r p)

        K_n(p) = integral_0^1 a r^(a-1) r^k ((1 - r p)/(1 - p))^(n-k) dr
               = a B(k + a, n - k + 1) I_p(k + a, n - k + 1) / (p^(k+a) (1 - p)^(n-k))

    with the beta function B and the regularised incomplete beta function I. At every r the capital
    grows with p, so the rejected p form an interval, and the bound is its lower end: the smallest p
    with K_n(p) >= 1/alpha. It depends on the stream only through (k, n).

    Conditions: independent draws; any stopping rule.

    Args:
        k: events seen so far, 0 <= k <= n.
        n: samples so far, at least 1.
        alpha: probability of error.

    Returns:
        p, rounded up; 1 when nothing can be rejected.

    Raises:
        ValueError: an argument is outside its domain or NaN.
    """
    check_count(k, n)
    check_alpha(alpha)
    return _first_rejected(k / n, 1.0, lambda p: _log_capital(k, n, p, PRIOR, betainc), alpha)


def violation_lower(k: int, n: int, alpha: float) -> float:
    """Return p with P(event) >= p: with probability at least 1 - alpha, at all n simultaneously.

    The mirror image of ``violation_upper``: bets on the rates s p, s >= 1, with the stake spread
    with density b s^(-b-1), b = 1/2 (stakes with s p > 1 are not used), give

        K_n(p) = b B(k - b, n - k + 1) (1 - I_p(k - b, n - k + 1)) / (p^(k-b) (1 - p)^(n-k)),

    which decreases in p; the bound is the largest p with K_n(p) >= 1/alpha. Arguments, conditions
    and errors as there; 0 when nothing can be rejected.
    """
    check_count(k, n)
    check_alpha(alpha)
    if k == 0:
        return 0.0
    return _first_rejected(k / n, 0.0, lambda p: _log_capital(k, n, p, -PRIOR, betaincc), alpha)


def _first_rejected(
    kept: float, rejected: float, log_capital: Callable[[float], float], alpha: float
) -> float:
    """The end of the rejected interval nearest to ``kept``, by bisection, from the rejected side.

    ``rejected`` is returned as it is when nothing inside is rejected (0 or 1: a bound of nothing).
    """
    while True:
        middle = 0.5 * (kept + rejected)
        if abs(rejected - kept) <= 1e-12 * rejected or middle in (kept, rejected):
            return rejected
        if log_capital(middle) >= -math.log(alpha):
            rejected = middle
        else:
            kept = middle


def _log_capital(k: int, n: int, p: float, a: float, side: Callable[..., float]) -> float:
    """Log of |a| B(k + a, n - k + 1) side(k + a, n - k + 1, p) / (p^(k+a) (1 - p)^(n-k)).

    Rounded down, for 0 < p < 1: the terms are accurate to a few units in their last places,
    ``side`` (the incomplete beta function or its complement) to 1e-9. -inf where it underflows.
    """
    tail = float(side(k + a, n - k + 1, p))
    if not tail > 0.0:
        return -math.inf
    terms = (
        math.log(abs(a)),
        float(gammaln(k + a)),
        float(gammaln(n - k + 1)),
        -float(gammaln(n + 1 + a)),
        math.log(tail),
        -(k + a) * math.log(p),
        -(n - k) * math.log1p(-p),
    )
    return math.fsum(terms) - 2.0**-46 * math.fsum(map(abs, terms)) - 1e-9


class MeanBound:
    """The predictable plug-in empirical Bernstein bound of a mean, one-sided, over a stream.

    With x_i scaled to [0, 1],

        mu_i     = (1/2 + sum_{j<=i} x_j) / (i + 1)
        s_i      = (1/4 + sum_{j<=i} (x_j - mu_j)^2) / (i + 1)
        lambda_i = min(c, sqrt(2 ln(1/alpha) / (s_{i-1} i ln(1 + i))))
        E[X] <= [ sum_i lambda_i x_i + ln(1/alpha)
                  + sum_i (x_i - mu_{i-1})^2 (-ln(1 - lambda_i) - lambda_i) ] / sum_i lambda_i

    at all n simultaneously, with probability at least 1 - alpha.

    Source: Waudby-Smith and Ramdas, theorem 2 (v_i = 4 (x_i - mu_{i-1})^2 and psi_E there are our
    product); one side of the two-sided interval, so ln(1/alpha) in place of ln(2/alpha).
    Conditions: independent draws in [0, R] with one mean, R known before the first; any stopping
    rule.

    The bets lambda_i and the guesses mu_{i-1} may be any function of the past, so their own
    rounding does no harm, and neither does that of x_i, which is a random variable like any other
    (its mean is within a unit in the last place of E[X]/R); the sums of the bound are rounded up.
    The result does not depend on how the stream is cut into chunks.

    Args:
        range_: R, positive and finite.
        alpha: probability of error.

    Raises:
        ValueError: an argument is outside its domain or NaN.
    """

    def __init__(self, range_: float, alpha: float) -> None:
        check_mean(0.0, range_)
        check_alpha(alpha)
        self._range = range_
        self._log = -math.log(alpha)
        self._count = 0
        self._sum = 0.0
        self._squares = 0.0
        self._bets = 0.0
        self._numerator = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Bets on the next values, (n,), each in [0, R].

        Raises:
            ValueError: a value lies outside the range or is NaN.
        """
        if not np.all((values >= 0.0) & (values <= self._range)):
            raise ValueError(f"a value lies outside the range [0, {self._range!r}]")
        if not values.size:
            return
        x = values / self._range
        index = np.arange(self._count + 1, self._count + 1 + x.size, dtype=np.float64)
        sums = _running(self._sum, x)
        means = np.minimum(1.0, (0.5 + sums) / np.append(index[0], index + 1.0))
        squares = _running(self._squares, (x - means[1:]) ** 2)
        variances = (0.25 + squares[:-1]) / index
        bets = np.sqrt(2.0 * self._log / (variances * index * np.log1p(index)))
        bets = np.minimum(LARGEST_BET, bets)
        # 2^-51 lambda covers the cancellation in the price of a small bet.
        price = -np.log1p(-bets) - bets + 2.0**-51 * bets
        gains = bets * x + (x - means[:-1]) ** 2 * price
        self._count += x.size
        self._sum, self._squares = float(sums[-1]), float(squares[-1])
        self._bets = float(_running(self._bets, bets)[-1])
        self._numerator = float(_running(self._numerator, gains)[-1])

    def upper(self) -> float:
        """The bound after the values so far, rounded up, at most R."""
        if not self._count:
            return self._range
        # Two recursive sums of n non-negative terms: relative error below n 2^-52 each way.
        slack = 1.0 + (self._count + 64) * 2.0**-51
        return min(
            self._range, up(self._range * slack * (self._numerator + self._log) / self._bets)
        )


def _running(start: float, terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums start, start + terms_0, start + terms_0 + terms_1, ... in this order of addition."""
    return np.add.accumulate(np.append(start, terms))
