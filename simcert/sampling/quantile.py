"""Distribution-free upper confidence bounds of a quantile: an order statistic of the sample."""

from simcert.sampling.checks import check_alpha, check_samples
from simcert.sampling.clopper_pearson import at_most


def upper_rank(n: int, tail: float, alpha: float) -> int | None:
    """Return the rank r of the order statistic that bounds a quantile from above.

    For X_(1) <= ... <= X_(n), whatever the distribution of X,

        P(X > t) <= tail    at t = X_(r), with probability at least 1 - alpha

    where r is the smallest rank with P(Bin(n, tail) <= n - r) <= alpha. Reason: let t* be the
    smallest t with P(X > t) <= tail. If X_(r) < t*, then at most n - r draws are >= t*, and each
    of them is with probability P(X >= t*) >= tail.

    Source: W. R. Thompson, On confidence ranges for the median and other expectation distributions
    for populations of unknown distribution form, Annals of Mathematical Statistics 7 (1936);
    H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed., section 7.1.

    Conditions: X_1..X_n independent and identically distributed, n and tail fixed beforehand. X may
    be +infinity.

    Args:
        n: number of samples, at least 1.
        tail: 1 minus the quantile's level, strictly between 0 and 1.
        alpha: probability of error.

    Returns:
        r in 1..n; None if n is too small for any order statistic to serve.

    Raises:
        ValueError: an argument is outside its domain or NaN.
    """
    check_samples(n)
    check_alpha(alpha)
    if not 0.0 < tail < 1.0:
        raise ValueError(f"tail must lie strictly between 0 and 1, not {tail!r}")
    if not at_most(0, n, tail, alpha):
        return None
    serves, too_many = 0, n  # how many order statistics may lie above X_(r)
    while too_many - serves > 1:
        middle = (serves + too_many) // 2
        if at_most(middle, n, tail, alpha):
            serves = middle
        else:
            too_many = middle
    return n - serves
