"""Holds verdicts against the truth, without any tolerance, and certificates against the checker."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np

from hunt.figures import Figures
from hunt.pairs import Pair, divergence_of, measured, worst
from simcert import Verdict
from simcert.certificate import build, write
from simcert.checker import check
from simcert.result import Result

_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def judge(result: Result, pair: Pair, x: np.ndarray, figures: Figures) -> Fraction:
    """Assert that no point x (n, inputs) of the region contradicts a result.

    Returns:
        The greatest d that was found, raised to the divergence's power (2 for l2); exact.
    """
    arithmetic, divergence = result.claim.arithmetic, result.claim.divergence
    if result.witness is not None:
        x = np.concatenate([np.array([result.witness.input]), x])
        refute(result, pair)
    assert result.claim.region.contains(x).all()
    truth, power = Fraction(0), 1
    for run, (f, g) in enumerate(pair.runs(x, arithmetic)):
        figures["points"] += len(x)
        values = measured(divergence, f, g)
        at = worst(values)
        if not math.isfinite(values[at]):
            assert result.proof.bound == math.inf, (x[at], f[at], g[at])
            assert result.verdict is not Verdict.PROVED
            continue
        outputs = pair.exactly(x[at], run, arithmetic)
        found, power = divergence_of(divergence.name, *outputs)
        truth = max(truth, found)
        _assert_each_output(result, pair, x, run, np.abs(f - g))
    if math.isfinite(result.proof.bound):
        assert truth <= Fraction(result.proof.bound) ** power, (float(truth), result.proof.bound)
    if result.verdict is Verdict.PROVED and result.claim.tolerance is not None:
        assert truth <= Fraction(result.claim.tolerance) ** power
    figures[f"verdicts: {result.verdict.value}"] += 1
    return truth


def _assert_each_output(
    result: Result, pair: Pair, x: np.ndarray, run: int, differences: np.ndarray
) -> None:
    """Compare |f_i − g_i| with its own proved bound where it is greatest."""
    for i, bound in enumerate(result.proof.per_output):
        at = worst(differences[:, i])
        f, g = pair.exactly(x[at], run, result.claim.arithmetic)
        # Python compares rational numbers with floats exactly.
        assert abs(f[i] - g[i]) <= bound, (i, x[at].tolist(), bound)


def refute(result: Result, pair: Pair) -> None:
    """Assert that a refuting witness exceeds the tolerance in the claim's own arithmetic."""
    if result.verdict is not Verdict.REFUTED:
        return
    assert result.witness is not None
    assert result.claim.tolerance is not None
    x, arithmetic = np.array(result.witness.input), result.claim.arithmetic
    runs = range(1 if arithmetic == "real" else len(pair.sessions))
    found = []
    for run in runs:
        d, power = divergence_of(result.claim.divergence.name, *pair.exactly(x, run, arithmetic))
        found.append(d > Fraction(result.claim.tolerance) ** power)
    assert any(found), (x.tolist(), result.witness.divergence, result.claim.tolerance)


def confirm(result: Result, pair: Pair, figures: Figures) -> None:
    """Have the independent checker re-establish a claim that holds.

    A graph that the checker does not read is counted as such; a certificate that does not hold is a
    failure of the one or of the other.
    """
    if not result.passed:
        return
    path = pair.folder / "certificate.json"
    write(build(result, _NOW, ["simcert", "verify"]), path)
    report = check(path, *pair.paths)
    failed = [f"{step.name}: {step.detail}" for step in report.steps if not step.holds]
    assert report.holds or report.cannot, failed
    if report.holds:
        figures["certificates confirmed"] += 1
    else:
        figures["certificates not readable by the checker"] += 1
