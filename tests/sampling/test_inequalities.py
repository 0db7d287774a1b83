"""Every formula against an oracle that shares no code with it: exact rational arithmetic, decimals,
published tables; and against the sample sizes that the literature and the design give."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from simcert.sampling import (
    bernstein,
    betting,
    clopper_pearson,
    empirical_bernstein,
    hoeffding,
    samples_needed,
)
from simcert.sampling.bernstein import KnownVariance
from simcert.sampling.quantile import upper_rank


def tail(k: int, n: int, p: float) -> Fraction:
    """P(Bin(n, p) <= k), exactly."""
    q = Fraction(p)
    return sum((math.comb(n, i) * q**i * (1 - q) ** (n - i) for i in range(k + 1)), Fraction(0))


def decimal_tail(k: int, n: int, p: float) -> Decimal:
    """P(Bin(n, p) <= k) with 60 digits, for n too large for ``tail``."""
    with localcontext() as context:
        context.prec = 60
        q = Decimal(p)
        log = (1 - q).ln()
        return sum(
            (math.comb(n, i) * q**i * (log * (n - i)).exp() for i in range(k + 1)), Decimal(0)
        )


# -- Clopper and Pearson ---------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.01, 1e-6])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 40), (1, 2), (3, 40), (20, 40), (39, 40)])
def test_clopper_pearson_upper_is_conservative_and_tight(k: int, n: int, alpha: float) -> None:
    bound = clopper_pearson.upper(k, n, alpha)
    assert tail(k, n, bound) <= Fraction(alpha)
    assert tail(k, n, bound * (1 - 1e-7)) > Fraction(alpha)


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.01, 1e-6])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (40, 40), (1, 2), (3, 40), (20, 40), (1, 40)])
def test_clopper_pearson_lower_is_conservative_and_tight(k: int, n: int, alpha: float) -> None:
    bound = clopper_pearson.lower(k, n, alpha)
    assert 1 - tail(k - 1, n, bound) <= Fraction(alpha)
    assert 1 - tail(k - 1, n, bound * (1 + 1e-7)) > Fraction(alpha)


@pytest.mark.parametrize("k", [0, 1, 3, 12])
@pytest.mark.parametrize("n", [460_517_017, 10**9])
def test_clopper_pearson_is_conservative_near_1e_8(k: int, n: int) -> None:
    alpha = 0.01
    bound = clopper_pearson.upper(k, n, alpha)
    assert 4e-9 < bound < 6e-8
    assert decimal_tail(k, n, bound) <= Decimal(alpha)
    assert decimal_tail(k, n, bound * (1 - 1e-7)) > Decimal(alpha)
    if k:
        below = clopper_pearson.lower(k, n, alpha)
        assert 1 - decimal_tail(k - 1, n, below) <= Decimal(alpha)
        assert 1 - decimal_tail(k - 1, n, below * (1 + 1e-7)) > Decimal(alpha)


def test_clopper_pearson_published_intervals() -> None:
    # 95 % two-sided intervals of the published tables: one-sided at 2.5 %.
    for k, n, low, high in [(1, 10, 0.0025, 0.4450), (0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129)]:
        assert clopper_pearson.lower(k, n, 0.025) == pytest.approx(low, abs=5e-5)
        assert clopper_pearson.upper(k, n, 0.025) == pytest.approx(high, abs=5e-5)


def test_clopper_pearson_at_the_boundary() -> None:
    assert clopper_pearson.upper(7, 7, 0.01) == 1.0
    assert clopper_pearson.lower(0, 7, 0.01) == 0.0
    assert clopper_pearson.upper(0, 5, 0.01) == pytest.approx(1 - 0.01 ** (1 / 5), rel=1e-12)
    assert clopper_pearson.lower(5, 5, 0.01) == pytest.approx(0.01 ** (1 / 5), rel=1e-12)
    assert clopper_pearson.upper(10**8, 10**9, 1e-12) > 0.1 > clopper_pearson.lower(1, 10**9, 0.01)


# -- sample sizes ----------------------------------------------------------------------------


def fewest(certifies: object) -> int:
    """The smallest n that certifies, by bisection."""
    assert callable(certifies)
    low, high = 1, 2
    while not certifies(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if certifies(middle) else (middle, high)
    return high


def test_samples_needed_for_nothing_seen() -> None:
    """0 seen, P <= 0.001 at 99 %: the figures of the design."""
    p, alpha = 0.001, 0.01
    assert samples_needed(p, alpha) == 4603
    assert fewest(lambda n: clopper_pearson.upper(0, n, alpha) <= p) == 4603
    bernstein_size = fewest(
        lambda n: n > 1 and empirical_bernstein.mean_upper(n, 0.0, 0.0, 1.0, alpha) <= p
    )
    assert bernstein_size == 12_364  # "12,400"
    assert fewest(lambda n: hoeffding.mean_upper(n, 0.0, 1.0, alpha) <= p) == 2_302_586
    # A prototype's betting needed 5,830; the mixture with exponent 1/2 is a little better.
    assert fewest(lambda n: betting.violation_upper(0, n, alpha) <= p) == 5585


def test_samples_needed_with_expected_violations() -> None:
    for k in (1, 5, 40):
        n = samples_needed(0.01, 0.05, k)
        assert clopper_pearson.upper(k, n, 0.05) <= 0.01 < clopper_pearson.upper(k, n - 1, 0.05)
    assert samples_needed(0.05, 0.05) == 59  # Wilks


# -- means -----------------------------------------------------------------------------------


def test_hoeffding_formula() -> None:
    # 0.3 + 2 sqrt(ln(20)/200)
    assert hoeffding.mean_upper(100, 0.3, 2.0, 0.05) == pytest.approx(0.5447746831, abs=1e-10)


def test_empirical_bernstein_formula() -> None:
    # sqrt(2·0.04·ln 40/100) = 0.0543236…, 7·2·ln 40/(3·99) = 0.1738869…
    assert empirical_bernstein.mean_upper(100, 0.3, 0.04, 2.0, 0.05) == pytest.approx(
        0.3 + math.sqrt(0.08 * math.log(40) / 100) + 14 * math.log(40) / 297, rel=1e-13
    )
    assert empirical_bernstein.mean_upper(100, 0.3, 0.04, 2.0, 0.05) == pytest.approx(
        0.528210, abs=1e-6
    )


def test_bernstein_formula_and_its_guard() -> None:
    known = KnownVariance(0.04, "law of the test")
    # sqrt(2·0.04·ln 20/100) = 0.0489549…, 2·ln 20/300 = 0.0199715…
    assert bernstein.mean_upper(100, 0.3, known, 2.0, 0.05) == pytest.approx(0.3689264, abs=1e-7)
    with pytest.raises(TypeError, match="never a sample variance"):
        bernstein.mean_upper(100, 0.3, 0.04, 2.0, 0.05)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="derivation"):
        KnownVariance(0.04, " ")


def test_bounds_never_exceed_the_range_nor_fall_below_the_mean() -> None:
    for mean in (0.0, 0.5, 2.0):
        for n in (2, 10, 10**6):
            for bound in (
                hoeffding.mean_upper(n, mean, 2.0, 0.5),
                empirical_bernstein.mean_upper(n, mean, 0.0, 2.0, 0.5),
                bernstein.mean_upper(n, mean, KnownVariance(0.0, "constant"), 2.0, 0.5),
            ):
                assert mean <= bound <= 2.0


def test_bounds_are_rounded_up() -> None:
    """Against 50 digits: never below the formula, and not visibly above it."""
    generator = np.random.default_rng(5)
    rows = zip(
        generator.integers(2, 10**6, 400).tolist(),
        generator.random((400, 2)).tolist(),
        (10.0 ** generator.uniform(-9, -0.01, 400)).tolist(),
        strict=True,
    )
    with localcontext() as context:
        context.prec = 50
        for n, (m, v), alpha in rows:
            mean, var, range_ = Decimal(m), Decimal(v), Decimal(1000)
            one, two = -Decimal(alpha).ln(), (2 / Decimal(alpha)).ln()
            known = KnownVariance(v, "law of the test")
            for bound, exact in (
                (hoeffding.mean_upper(n, m, 1e3, alpha), mean + range_ * (one / (2 * n)).sqrt()),
                (
                    bernstein.mean_upper(n, m, known, 1e3, alpha),
                    mean + (2 * var * one / n).sqrt() + range_ * one / (3 * n),
                ),
                (
                    empirical_bernstein.mean_upper(n, m, v, 1e3, alpha),
                    mean + (2 * var * two / n).sqrt() + 7 * range_ * two / (3 * (n - 1)),
                ),
                (clopper_pearson.upper(0, n, alpha), 1 - (-one / n).exp()),
            ):
                assert min(exact, range_) <= Decimal(bound) <= exact * (1 + Decimal("1e-13"))


# -- quantiles -------------------------------------------------------------------------------


def test_quantile_ranks_published() -> None:
    # Wilks' sample sizes: 59 (maximum) and 93 (second largest) at 95/95, 459 at 99/99.
    assert upper_rank(58, 0.05, 0.05) is None
    assert upper_rank(59, 0.05, 0.05) == 59
    assert upper_rank(92, 0.05, 0.05) == 92
    assert upper_rank(93, 0.05, 0.05) == 92
    assert upper_rank(458, 0.01, 0.01) is None
    assert upper_rank(459, 0.01, 0.01) == 459


@pytest.mark.parametrize("n", [1, 2, 7, 60, 700])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("alpha", [0.3, 0.01])
def test_quantile_rank_is_the_smallest_that_serves(n: int, share: float, alpha: float) -> None:
    rank = upper_rank(n, share, alpha)
    if rank is None:
        assert tail(0, n, share) > Fraction(alpha)
        return
    assert tail(n - rank, n, share) <= Fraction(alpha)
    assert rank == 1 or tail(n - rank + 1, n, share) > Fraction(alpha)


# -- domains ---------------------------------------------------------------------------------

NAN = math.nan


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 2.0, NAN])
def test_alpha_is_validated(alpha: float) -> None:
    for call in (
        lambda: hoeffding.mean_upper(10, 0.5, 1.0, alpha),
        lambda: empirical_bernstein.mean_upper(10, 0.5, 0.1, 1.0, alpha),
        lambda: bernstein.mean_upper(10, 0.5, KnownVariance(0.1, "x"), 1.0, alpha),
        lambda: clopper_pearson.upper(1, 10, alpha),
        lambda: clopper_pearson.lower(1, 10, alpha),
        lambda: betting.violation_upper(1, 10, alpha),
        lambda: betting.violation_lower(1, 10, alpha),
        lambda: betting.MeanBound(1.0, alpha),
        lambda: upper_rank(10, 0.1, alpha),
        lambda: samples_needed(0.1, alpha),
    ):
        with pytest.raises(ValueError, match="alpha"):
            call()


def test_other_arguments_are_validated() -> None:
    for call in (
        lambda: hoeffding.mean_upper(0, 0.5, 1.0, 0.1),
        lambda: hoeffding.mean_upper(10, NAN, 1.0, 0.1),
        lambda: hoeffding.mean_upper(10, 1.1, 1.0, 0.1),
        lambda: hoeffding.mean_upper(10, 0.0, math.inf, 0.1),
        lambda: hoeffding.mean_upper(10, 0.0, NAN, 0.1),
        lambda: empirical_bernstein.mean_upper(1, 0.5, 0.1, 1.0, 0.1),
        lambda: empirical_bernstein.mean_upper(10, 0.5, NAN, 1.0, 0.1),
        lambda: empirical_bernstein.mean_upper(10, 0.5, -0.1, 1.0, 0.1),
        lambda: empirical_bernstein.mean_upper(10, 0.5, 0.1, 0.0, 0.1),
        lambda: KnownVariance(NAN, "x"),
        lambda: clopper_pearson.upper(-1, 10, 0.1),
        lambda: clopper_pearson.upper(11, 10, 0.1),
        lambda: clopper_pearson.lower(0, 0, 0.1),
        lambda: betting.violation_upper(11, 10, 0.1),
        lambda: betting.MeanBound(math.inf, 0.1),
        lambda: betting.MeanBound(1.0, 0.1).add(np.array([NAN])),
        lambda: betting.MeanBound(1.0, 0.1).add(np.array([1.5])),
        lambda: upper_rank(0, 0.1, 0.1),
        lambda: upper_rank(10, 1.0, 0.1),
        lambda: samples_needed(0.0, 0.1),
        lambda: samples_needed(0.1, 0.1, -1),
    ):
        with pytest.raises(ValueError, match=r"."):
            call()
