"""Words that several renderers use."""

from collections.abc import Sequence
from decimal import Decimal

from simcert.result import Verdict

METHODS = {
    "clopper-pearson": "exact binomial bound of Clopper and Pearson",
    "betting": "time-uniform bound by betting",
    "empirical-bernstein": "empirical Bernstein bound of Maurer and Pontil",
    "hoeffding": "Hoeffding's bound",
    "exhaustive": "every point of the region was run",
    "proved ranges": "proved ranges",
}
"""The inequalities in words."""

ARITHMETICS = {
    "real": "real numbers, without the rounding of a runtime",
    "float32": "float32, as any conforming runtime computes",
}
"""What a claim is about, in words."""

HEADLINES = {
    Verdict.PROVED: "the claim holds for every input of the region",
    Verdict.BOUNDED: "the claim holds, with certainty",
    Verdict.CERTIFIED: "the claim holds, with the stated confidence",
    Verdict.REFUTED: "the claim is false",
    Verdict.INCONCLUSIVE: "neither shown nor refuted within the budget",
}
"""What each verdict says of a claim."""

HEADLINES_WITHOUT_TOLERANCE = {
    **HEADLINES,
    Verdict.PROVED: "a worst case; no tolerance was given, so nothing had to pass",
    Verdict.CERTIFIED: "estimates; no tolerance was given, so nothing had to pass",
    Verdict.INCONCLUSIVE: "nothing could be shown within the budget",
}
"""What each says where nothing was claimed."""


def confidence_percent(confidence: float) -> str:
    """Writes the confidence that was asked for in percent: a chosen number, not a bound."""
    return f"{Decimal(repr(confidence)).scaleb(2).normalize():f} %"


def counted(outcomes: Sequence[str]) -> str:
    """Writes how many claims had which outcome, the verdicts in their order and errors last."""
    order = [*Verdict, "error"]
    parts = [f"{outcomes.count(name)} {name}" for name in order if name in outcomes]
    return f"{plural(len(outcomes), 'claim')}: {', '.join(parts) or 'none'}"


def plural(number: int, one: str, many: str = "") -> str:
    """Writes a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
