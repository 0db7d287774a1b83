"""Claims: what is refused, and their sentences."""

import json
from typing import Any

import numpy as np
import pytest

from simcert.claim import Claim, Divergence, Region, TruncatedNormal, divergences
from simcert.errors import ClaimError

BOX = Region.from_boxes([[0.0, 0.0]], [[1.0, 1.0]], source="box.json")
TWO = Region.from_boxes([[0.0], [2.0]], [[1.0], [3.0]], source="two.json")
POINTS = Region.from_boxes(np.eye(3), np.eye(3), source="3 rows of x.npz")


def d(text: str, *rest: Any) -> Divergence:
    return divergences.parse(text, *rest)


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        (
            Claim(BOX, tolerance=0.05),
            "max over x in R of ‖f(x) − g(x)‖∞ ≤ 0.05 (output units), in float32",
        ),
        (
            Claim(BOX, tolerance=0.05, arithmetic="real"),
            "max over x in R of ‖f(x) − g(x)‖∞ ≤ 0.05 (output units), over the reals",
        ),
        (
            Claim(BOX, tolerance=0.004, max_violation=0.001),
            "P(‖f(x) − g(x)‖∞ > 0.004) ≤ 0.001 for x uniform on R, with confidence 0.999, "
            "in float32",
        ),
        (
            Claim(BOX, divergence=d("l2", [0, 3])),
            "how large can ‖f(x)[0, 3] − g(x)[0, 3]‖₂ become for x in R (output units), "
            "in float32?",
        ),
        (
            Claim(BOX, divergence=d("js"), tolerance=0.01),
            "max over x in R of JS(softmax f(x), softmax g(x)) ≤ 0.01 (nats), in float32",
        ),
        (
            Claim(TWO, divergence=d("top1", None, "argmin"), tolerance=0),
            "argmin f(x) = argmin g(x) for every x in R, in float32",
        ),
        (
            Claim(TWO, divergence=d("top1"), tolerance=0, max_violation=0.5, confidence=0.9),
            "P(argmax f(x) ≠ argmax g(x)) ≤ 0.5 for x uniform on one of the 2 boxes of R, "
            "drawn by weight, with confidence 0.9, in float32",
        ),
        (
            Claim(POINTS, divergence=d("topk:k=3")),
            "how often, if ever, is it that the 3 largest outputs of f(x) and of g(x) differ as "
            "sets for x drawn by weight from the 3 points of R?",
        ),
        (
            Claim(BOX, divergence=d("topk:k=3", None, "argmin"), tolerance=0),
            "the 3 smallest outputs of f(x) and of g(x) are the same for every x in R, in float32",
        ),
        (
            Claim(BOX, divergence=d("top1-confident:delta=2"), tolerance=0),
            "argmax f(x) = argmax g(x) for every x in R at which the best output of f(x) leads "
            "by at least 2.0 (output units), in float32",
        ),
        (
            Claim(BOX, TruncatedNormal(), d("kl"), 0.5, 0.25),
            "P(KL(softmax f(x) ‖ softmax g(x)) > 0.5) ≤ 0.25 for x truncated normal (inputs "
            "independent, mean at the centre of the box, standard deviation 0.5 half-widths) "
            "on R, with confidence 0.999, in float32",
        ),
    ],
)
def test_sentences(claim: Claim, sentence: str) -> None:
    assert claim.sentence() == sentence
    described = json.loads(json.dumps(claim.to_dict(), allow_nan=False))
    assert described["sentence"] == sentence
    again = divergences.parse(
        described["divergence"], described["outputs"], described["decision"] or "argmax"
    )
    assert again == claim.divergence


def test_units_of_the_outputs() -> None:
    assert "≤ 0.05 (m/s)," in Claim(BOX, tolerance=0.05).sentence("m/s")
    assert "(nats)," in Claim(BOX, divergence=d("kl"), tolerance=0.05).sentence("m/s")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": -0.1}, "tolerance must be finite and not negative, not -0.1"),
        ({"tolerance": float("nan")}, "tolerance must be finite"),
        ({"tolerance": float("inf")}, "tolerance must be finite"),
        ({"tolerance": 1.0, "divergence": d("top1")}, "top1 never exceeds 1.0, .* claims nothing"),
        ({"tolerance": 0.7, "divergence": d("js")}, "js never exceeds 0.69"),
        ({"tolerance": 1.0, "divergence": d("top1", [0, 1])}, "claims nothing"),
        ({"max_violation": 0.0}, "between 0 and 1, not 0.0; leave it out"),
        ({"max_violation": 1.0}, "between 0 and 1, not 1.0"),
        ({"max_violation": float("nan")}, "between 0 and 1"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1, not 1.0; try 0.999"),
        ({"confidence": 0.0}, "confidence must lie between 0 and 1"),
        ({"arithmetic": "int4"}, "unknown arithmetic 'int4'; known: float32, real"),
    ],
)
def test_claims_that_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        Claim(BOX, **arguments)
