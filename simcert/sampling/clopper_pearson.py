"""Clopper and Pearson's exact bounds of a probability from k events in n samples, one-sided.

The bounds are quantiles of beta distributions. The inverse incomplete beta function is only a
first guess here: every returned bound p is checked *forward*, by evaluating the binomial tail at
p itself, and moved outward until that tail is at most alpha with a margin for its own error.

Source: C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits illustrated in the
case of the binomial, Biometrika 26 (1934); the beta form: NIST Digital Library of Mathematical
Functions 8.17.5. Conditions: n independent yes/no draws, n fixed beforehand. For bounds that are
looked at while the draws go on, see ``betting``.
"""

import math

from scipy.special import betainc, betaincc, betainccinv, betaincinv

from simcert.sampling.checks import check_alpha, check_count
from simcert.sampling.rounding import down, up

FORWARD_MARGIN = 1e-9
"""Relative error granted to scipy's incomplete beta function (its own tests ask for 1e-11)."""


def upper(k: int, n: int, alpha: float) -> float:
    """Return p with P(event) <= p, with probability at least 1 - alpha.

    p is the smallest number (up to outward rounding) with P(Bin(n, p) <= k) <= alpha; for k = 0
    that is 1 - alpha^(1/n), for k = n it is 1.

    Args:
        k: events seen, 0 <= k <= n.
        n: number of samples, at least 1.
        alpha: probability of error.

    Raises:
        ValueError: an argument is outside its domain or NaN.
    """
    check_count(k, n)
    check_alpha(alpha)
    if k == n:
        return 1.0
    if k == 0:
        return min(1.0, up(-math.expm1(math.log(alpha) / n)))
    p = float(betainccinv(k + 1, n - k, alpha))
    step = FORWARD_MARGIN
    while p < 1.0 and not at_most(k, n, p, alpha):
        p, step = up(p * (1.0 + step)), 2.0 * step
    return p if p < 1.0 else 1.0  # also where scipy gave up with NaN


def lower(k: int, n: int, alpha: float) -> float:
    """Return p with P(event) >= p, with probability at least 1 - alpha.

    p is the largest number (up to outward rounding) with P(Bin(n, p) >= k) <= alpha; for k = n
    that is alpha^(1/n), for k = 0 it is 0. Arguments and errors as for ``upper``.
    """
    check_count(k, n)
    check_alpha(alpha)
    if k == 0:
        return 0.0
    if k == n:
        return down(math.exp(math.log(alpha) / n))
    p = float(betaincinv(k, n - k + 1, alpha))
    step = FORWARD_MARGIN
    while p > 0.0 and not betainc(k, n - k + 1, p) <= alpha * (1.0 - FORWARD_MARGIN):
        p, step = down(p * (1.0 - step)), min(0.5, 2.0 * step)
    return p if p > 0.0 else 0.0  # also where scipy gave up with NaN


def at_most(k: int, n: int, p: float, alpha: float) -> bool:
    """Whether P(Bin(n, p) <= k) <= alpha for certain, 0 <= k < n: the forward check."""
    return bool(betaincc(k + 1, n - k, p) <= alpha * (1.0 - FORWARD_MARGIN))


def samples_needed(max_violation: float, alpha: float, expected_violations: int = 0) -> int:
    """Return the fewest samples with which ``expected_violations`` events still certify the claim.

    Args:
        max_violation: p of the claim P(d > eps) <= p, strictly between 0 and 1.
        alpha: probability of error.
        expected_violations: k, not negative.

    Returns:
        The smallest n with upper(k, n, alpha) <= p.

    Raises:
        ValueError: an argument is outside its domain or NaN.
    """
    if not 0.0 < max_violation < 1.0:
        raise ValueError(f"max_violation must lie between 0 and 1, not {max_violation!r}")
    too_few = expected_violations
    enough = too_few + 1
    while upper(expected_violations, enough, alpha) > max_violation:
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if upper(expected_violations, middle, alpha) > max_violation:
            too_few = middle
        else:
            enough = middle
    return enough
