import json
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simcert.numerals import (
    exact,
    exact_list,
    format_lower,
    format_upper,
    percent_lower,
    percent_upper,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
digits = st.integers(1, 20)


@given(finite, digits)
@example(0.1, 1)
@example(5e-324, 4)
@example(-1.7976931348623157e308, 3)
@example(9.9996e-5, 4)
@example(999999999.9, 4)
def test_printed_bounds_enclose_the_value(value: float, digits: int) -> None:
    low, high = Decimal(format_lower(value, digits)), Decimal(format_upper(value, digits))
    assert low <= Decimal(value) <= high
    assert high - low <= abs(Decimal(value)) * Decimal(10) ** (1 - digits)


@given(finite)
@example(0.07)  # 100 * 0.07 rounds away from the exact product
def test_percentages_enclose_the_share(value: float) -> None:
    low, high = (percent(value).removesuffix(" %") for percent in (percent_lower, percent_upper))
    assert Fraction(low) <= 100 * Fraction(value) <= Fraction(high)


@pytest.mark.parametrize(
    ("value", "upper", "lower"),
    [
        (0.05, "0.05001", "0.05"),
        (0.25, "0.25", "0.25"),
        (1.0, "1", "1"),
        (0.0, "0", "0"),
        (-0.0, "0", "0"),
        (123456.0, "123500", "123400"),
        (3.21e-8, "3.211e-8", "3.21e-8"),
        (2.0**40, "1.1e12", "1.099e12"),
        (math.inf, "inf", "inf"),
        (-math.inf, "-inf", "-inf"),
    ],
)
def test_numbers_read_well(value: float, upper: str, lower: str) -> None:
    assert (format_upper(value), format_lower(value)) == (upper, lower)


def test_not_a_number_is_no_bound() -> None:
    with pytest.raises(ValueError, match="not a number"):
        format_upper(math.nan)


@given(finite)
def test_exact_numbers_survive_json(value: float) -> None:
    entries = json.loads(json.dumps(exact("x", value), allow_nan=False))
    assert entries["x"] == value == float.fromhex(entries["x_hex"])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, None])
def test_what_json_does_not_know_is_null(value: float | None) -> None:
    assert exact("x", value) == {"x": None, "x_hex": None}


def test_lists_keep_their_gaps() -> None:
    assert exact_list("x", [1.0, math.inf]) == {
        "x": [1.0, None],
        "x_hex": ["0x1.0000000000000p+0", None],
    }
    assert exact_list("x", []) == {"x": [], "x_hex": []}
