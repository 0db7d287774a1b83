"""Outward rounding is exact: checked against rational arithmetic."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcert.claim.rounding import (
    decimal,
    deflated,
    float_above,
    float_below,
    inflated,
    sum_above,
    sum_below,
)
from simcert.errors import ClaimError

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.decimals(
        allow_nan=False,
        allow_infinity=False,
        min_value=Decimal("-1e300"),
        max_value=Decimal("1e300"),
    )
)
def test_decimals_are_enclosed_as_tightly_as_possible(value: Decimal) -> None:
    below, above = float_below(value), float_above(value)
    assert Fraction(below) <= Fraction(value) <= Fraction(above)
    assert above in (below, math.nextafter(below, math.inf))
    assert (below == above) == (Fraction(below) == Fraction(value))


@pytest.mark.parametrize("text", ["1e-400", "-1e-400", "5e-324", "0.1", "-0.1", "1e-999999"])
def test_tiny_decimals_are_not_lost(text: str) -> None:
    value = decimal(text, "here")
    assert Decimal(float_below(value)) <= value <= Decimal(float_above(value))
    assert float_below(value) < float_above(value) or Decimal(float_below(value)) == value


def test_negative_zero_is_zero() -> None:
    assert math.copysign(1, float_below(Decimal("-0.0"))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1e400", "outside the range"),
        ("0x10", "not a decimal"),
        ("nan", "not a decimal"),
        ("1_0", "not a decimal"),
        ("١", "not a decimal"),
        ("1e9999999", "not a decimal"),
        ("1" * 2000, "2000 characters"),
    ],
)
def test_other_constants_are_refused(text: str, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        decimal(text, "file, line 3")


@given(finite, finite)
def test_sums_are_enclosed_as_tightly_as_possible(a: float, b: float) -> None:
    if not math.isfinite(a + b):
        return
    below = float(sum_below(np.array(a), np.array(b)))
    above = float(sum_above(np.array(a), np.array(b)))
    exact = Fraction(a) + Fraction(b)
    assert math.isinf(below) or Fraction(below) <= exact
    assert math.isinf(above) or exact <= Fraction(above)
    assert above in (below, math.nextafter(below, math.inf))


@given(st.lists(st.floats(min_value=0, max_value=1e300), min_size=1, max_size=50))
def test_inflated_sums_enclose_the_exact_sum(terms: list[float]) -> None:
    computed = np.array(terms).sum()
    exact = sum((Fraction(term) for term in terms), Fraction(0))
    upper = float(inflated(computed, len(terms)))
    lower = float(deflated(computed, len(terms)))
    assert Fraction(lower) <= exact
    assert math.isinf(upper) or exact <= Fraction(upper)
    assert upper <= computed * (1 + 1e-13) + 5e-324


def test_zero_stays_zero() -> None:
    assert inflated(np.zeros(1), 5)[0] == 0
    assert deflated(np.zeros(1), 5)[0] == 0
