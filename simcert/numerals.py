"""How numbers are written: rounded outward for people, exactly for machines.

A printed bound must itself be a bound: an upper one is rounded up and a lower one down, in decimal,
from the exact binary value. Numbers that something compares are stored beside their hexadecimal
form, so that no reader's decimal parser can move them.
"""

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

_EXACT = Context(prec=1100)  # any float64 has fewer than 1,100 significant decimal digits


def format_upper(value: float, digits: int = 4) -> str:
    """Writes ``value`` with ``digits`` significant digits, never below it.

    Args:
        value: an upper bound; infinite when there is none.
        digits: significant digits, at least 1.

    Returns:
        Decimal text t with Decimal(t) >= value, without trailing zeros; "inf" if infinite.

    Raises:
        ValueError: ``value`` is not a number.
    """
    return _format(value, digits, ROUND_CEILING)


def format_lower(value: float, digits: int = 4) -> str:
    """Writes ``value`` with ``digits`` significant digits, never above it (see format_upper)."""
    return _format(value, digits, ROUND_FLOOR)


def percent_upper(value: float, digits: int = 4) -> str:
    """Writes the share ``value`` in percent, never below it (see format_upper)."""
    return _format(value, digits, ROUND_CEILING, shift=2) + " %"


def percent_lower(value: float, digits: int = 4) -> str:
    """Writes the share ``value`` in percent, never above it (see format_upper)."""
    return _format(value, digits, ROUND_FLOOR, shift=2) + " %"


def _format(value: float, digits: int, rounding: str, shift: int = 0) -> str:
    if math.isnan(value):
        raise ValueError("a bound that is not a number cannot be written")
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    shifted = Decimal(value).scaleb(shift, _EXACT)
    rounded = Context(prec=digits, rounding=rounding).create_decimal(shifted)
    if Decimal("1e-4") <= abs(rounded) < Decimal("1e9"):
        return _without_trailing_zeros(f"{rounded:f}")
    mantissa, exponent = f"{rounded:e}".split("e")
    return f"{_without_trailing_zeros(mantissa)}e{int(exponent)}"


def _without_trailing_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def exact(name: str, value: float | None) -> dict[str, float | str | None]:
    """Entries ``name`` (decimal) and ``name_hex`` (hexadecimal) of a number that is compared.

    Both are None where there is no finite number: JSON knows neither infinity nor NaN.
    """
    if value is None or not math.isfinite(value):
        return {name: None, f"{name}_hex": None}
    return {name: float(value), f"{name}_hex": float(value).hex()}


def exact_list(name: str, values: Iterable[float]) -> dict[str, list[float | str | None]]:
    """The entries of ``exact`` for a sequence of numbers."""
    pairs = [tuple(exact("", value).values()) for value in values]
    return {name: [decimal for decimal, _ in pairs], f"{name}_hex": [text for _, text in pairs]}
