"""What the draws show, from their counts: the plan, the ledger of α, and the bound itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcert.checker import document
from simcert.checker.betting import capital_reaches
from simcert.checker.binomial import tail_at_most
from simcert.checker.claim import Claim
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.tree import Leaves

Integer = NDArray[np.int64]

UPPER = "violation upper"
_SUM_ERROR = 2.0**-48

_LARGEST_TICKETS = 2**62

MAX_SAMPLES, MAX_CHUNK = 10**9, 2**20
MAX_VIOLATIONS = 10**7
"""Larger numbers than any plan has would keep the checker busy for hours."""


@dataclass(frozen=True, eq=False)
class Tickets:
    """How draws choose among the undecided leaves: in proportion to ``counts``.

    With ``worth`` of one ticket, each leaf's tickets are worth at least its probability, so that
    P(A and U) ≤ weight · P(a draw lies in A) for every event A, U the union of these leaves.
    """

    counts: Integer
    worth: Fraction

    @classmethod
    def of(cls, content: dict[str, Any], masses: list[Fraction]) -> Tickets:
        """Read the tickets and require that they are worth what the leaves weigh.

        Raises:
            CheckError: they are not.
        """
        counts = document.array(content["tickets"], "int64")
        worth = Fraction(document.number(content["ticket_hex"]))
        if len(counts) != len(masses) or (counts < 0).any() or worth <= 0:
            raise CheckError("the tickets of the draws do not fit the undecided leaves")
        if not 0 < sum(counts.tolist()) < _LARGEST_TICKETS:
            raise CheckError("the tickets of the draws are none, or too many")
        for count, mass in zip(counts.tolist(), masses, strict=True):
            if count * worth < mass:
                raise CheckError("an undecided leaf has fewer tickets than its probability")
        return cls(counts, worth)

    @property
    def weight(self) -> Fraction:
        """Worth of all tickets."""
        return self.worth * int(sum(self.counts.tolist()))


@dataclass(frozen=True)
class Certain:
    """What holds without draws.

    Attributes:
        undecided: at least the probability of the leaves that are drawn from.
        violating: at least P(d > t and x in other leaves), for t ≥ ``from_``.
        from_: ε where linear bounds were integrated, else 0.
        allowed: what P(d > ε) may be shown to be at most.
    """

    undecided: Fraction
    violating: Fraction
    from_: float
    allowed: float


def check_plan(sampling: dict[str, Any], ledger: dict[str, Any], claim: Claim, seed: int) -> None:
    """Require that the plan is whole, is about this claim, and spends no more than α.

    Raises:
        CheckError: it is not.
        CannotCheckError: a method that is not known here.
    """
    plan = sampling["plan"]
    if document.sha256(document.canonical(plan)) != sampling["plan_sha256"]:
        raise CheckError("the plan is not the one that was frozen: its digest differs")
    if plan["method"] not in ("clopper-pearson", "betting", "exhaustive"):
        raise CannotCheckError(f"the checker does not know the method {plan['method']!r}")
    if (plan["method"] == "betting") != (plan["stopping"] == "early"):
        raise CheckError("to stop as soon as the claim is decided takes bets, and only that")
    if plan["samples"] > MAX_SAMPLES or plan["chunk"] > MAX_CHUNK:
        raise CannotCheckError("the plan is too large for the checker")
    stated = tuple(document.number(plan[f"{n}_hex"]) for n in ("tolerance", "max_violation"))
    if stated != (claim.tolerance, claim.max_violation) or plan["seed"] != seed:
        raise CheckError("the plan is not about this claim and seed")
    if ledger["family"] != plan["family"] or ledger["alpha"] != plan["alpha_ledger"]:
        raise CheckError("the ledger is not that of the plan")
    if [_checkpoint(item) for item in plan["checkpoints"]] != checkpoints(plan):
        raise CheckError("the checkpoints of the plan are not those of its stopping rule")
    confidence = document.number(plan["confidence_hex"])
    if plan["method"] == "exhaustive":
        if plan["alpha_ledger"] or confidence != 1.0:
            raise CheckError("an enumeration has confidence 1 and spends no alpha")
        return
    if confidence != claim.confidence:
        raise CheckError("the confidence of the plan is not that of the claim")
    alphas = [Fraction(document.number(item["alpha_hex"])) for item in plan["alpha_ledger"]]
    names = [item["statement"] for item in plan["alpha_ledger"]]
    if len(set(names)) != len(names) or UPPER not in names or min(alphas) <= 0:
        raise CheckError("the ledger names a statement twice, or not the one that is made")
    if sum(alphas) * plan["family"] > 1 - Fraction(confidence):
        raise CheckError("the ledger spends more than 1 − confidence")


def check_counts(sampling: dict[str, Any]) -> None:
    """Require that counts, moments and the stopping rule go together.

    Raises:
        CheckError: they do not.
    """
    plan, drawn, samples = sampling["plan"], sampling["drawn"], sampling["samples"]
    if not drawn <= plan["samples"]:
        raise CheckError("more draws than planned")
    early = ("early",) if plan["stopping"] == "early" else ()
    allowed = ("planned",) if drawn == plan["samples"] else ("deadline", *early)
    if sampling["stopped"] not in allowed:
        raise CheckError("the reason to stop does not go with the number of draws")
    if plan["stopping"] == "planned" and drawn != plan["samples"]:
        raise CheckError("a plan that allows no deadline was cut short")
    share = document.number(sampling["share_hex"])
    expected = (drawn, 1.0)
    if plan["method"] == "clopper-pearson":
        expected = next((c for c in checkpoints(plan) if c[0] <= drawn), (0, 0.0))
    if (samples, share) != expected:
        raise CheckError("the bound is not taken at the last checkpoint that was reached")
    if not sampling["violations"] <= min(samples, MAX_VIOLATIONS):
        raise CheckError("more violations than draws, or than the checker can count")
    _check_moments(sampling, document.number(plan["tolerance_hex"]))


def _check_moments(sampling: dict[str, Any], tolerance: float) -> None:
    """Require (Σ d)² ≤ n Σ d², and that the violations alone can be within the sum."""
    texts = sampling["sum_hex"], sampling["sum_of_squares_hex"]
    if None in texts:
        if texts != (None, None):
            raise CheckError("one of the moments is infinite and the other is not")
        return
    total, squares = (document.number(text) for text in texts)
    samples, violations = sampling["samples"], sampling["violations"]
    near = 1 + _SUM_ERROR
    possible = (
        total >= 0
        and total * total <= samples * squares * near
        and squares <= total * total * near
        and total * near >= violations * tolerance
    )
    if not possible:
        raise CheckError("no draws have these counts and moments")


def check_bound(
    sampling: dict[str, Any],
    tickets: Tickets,
    leaves: Leaves,
    certain: Certain,
    violating_tickets: int | None = None,
) -> str:
    """Require that P(d > ε) ≤ the stated bound follows from the counts.

    P(d > ε) ≤ F + A + min(P(S), W u), with F the violated leaves, A what integration leaves of
    those that are not drawn from, S those that are, W the weight of the tickets, and u a bound of
    the probability that a draw violates: P(Bin(n, u) ≤ k) ≤ α, or a capital of at least 1/α won
    by bets against "a draw violates with probability u".

    Args:
        sampling: of the certificate.
        tickets: of the undecided leaves.
        leaves: the undecided leaves.
        certain: P(S), F + A, and the bound to be shown.
        violating_tickets: in an enumeration, of the points that were seen to violate.

    Returns:
        What was shown, in words.

    Raises:
        CheckError: it does not follow.
    """
    plan, k, n = sampling["plan"], sampling["violations"], sampling["samples"]
    allowed = Fraction(certain.allowed)
    if plan["method"] == "exhaustive":
        return _check_enumeration(sampling, tickets, leaves, certain, violating_tickets)
    if certain.violating + certain.undecided <= allowed:
        return "the leaves that are not proved weigh no more than the stated bound"
    alpha = next(
        Fraction(document.number(item["alpha_hex"]))
        for item in plan["alpha_ledger"]
        if item["statement"] == UPPER
    ) * Fraction(document.number(sampling["share_hex"]))
    conditional = (allowed - certain.violating) / tickets.weight
    rounded = Fraction(math.nextafter(float(conditional), 0.0))
    shown = capital_reaches if plan["method"] == "betting" else tail_at_most
    if n == 0 or conditional <= 0 or not shown(k, n, rounded, alpha):
        raise CheckError(f"{k} violations in {n} draws do not show the stated bound of P(d > ε)")
    return f"{k} violations in {n} draws show it, with α = {float(alpha):.4g}"


def _check_enumeration(
    sampling: dict[str, Any],
    tickets: Tickets,
    leaves: Leaves,
    certain: Certain,
    violating: int | None,
) -> str:
    """Every point counts with its tickets; the heaviest are taken to violate if it is not known."""
    points = np.flatnonzero(tickets.counts > 0)
    if (leaves.lower[points] != leaves.upper[points]).any():
        raise CheckError("an enumeration of leaves that are no points")
    if sampling["plan"]["samples"] != len(points):
        raise CheckError("the plan does not enumerate all points")
    counts = tickets.counts[points].tolist()
    seen, k = counts[: sampling["drawn"]], sampling["violations"]
    bad = sum(sorted(seen)[len(seen) - k :]) if violating is None else violating
    bad += sum(counts[sampling["drawn"] :])
    if certain.violating + min(certain.undecided, tickets.worth * bad) > certain.allowed:
        raise CheckError(
            f"{k} of {len(points)} points do not show the stated bound of P(d > ε)"
            + ("; with --resample it is known which" if violating is None else "")
        )
    return f"{k} of {len(points)} points violate"


def _checkpoint(item: dict[str, Any]) -> tuple[int, float]:
    return item["samples"], document.number(item["share_hex"])


def checkpoints(plan: dict[str, Any]) -> list[tuple[int, float]]:
    """7/8 of α at all n draws, 1/16 at n/2, 1/32 at n/4, …: for any reason to stop 1 in all."""
    n = plan["samples"]
    if plan["stopping"] == "planned":
        return [(n, 1.0)]
    found, n, share = [(n, 0.875)], n // 2, 0.0625
    while n >= 1:
        found.append((n, share))
        n, share = n // 2, share / 2.0
    return found
