"""Which divergence a certificate names."""

from __future__ import annotations

import math

from simcert.checker.divergences import NORMS, SOFTMAX, Divergence, ranking
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.groups import groups, per_output, relative


def parse(spec: str, decision: str | None) -> Divergence:
    """Return the divergence that a certificate names.

    Raises:
        CheckError: its options are malformed, or the decision does not go with it.
        CannotCheckError: it is not known here.
    """
    name, _, options = spec.partition(":")
    key, _, text = options.partition("=")
    divergence: Divergence
    if name in NORMS and not options:
        divergence = NORMS[name]
    elif name in SOFTMAX and not options:
        divergence = SOFTMAX[name]
    elif name == "top1" and not options:
        divergence = ranking(decision or "", 1)
    elif name == "topk" and key == "k" and text.isdecimal() and len(text) < 10 and int(text):
        divergence = ranking(decision or "", int(text))
    elif name == "top1-confident" and key == "delta":
        divergence = ranking(decision or "", 1, _lead(text))
    elif name == "relative" and key == "share":
        divergence = relative(text)
    elif name == "per-output":
        divergence = per_output(options, NORMS["linf"])
    elif name == "groups":
        divergence = groups(options, NORMS)
    else:
        raise CannotCheckError(f"the checker does not know the divergence {spec!r}")
    if divergence.decision != decision or decision not in (None, "argmax", "argmin"):
        raise CheckError(f"the divergence {spec!r} does not go with the decision {decision!r}")
    return divergence


def _lead(text: str) -> float:
    try:
        lead = float(text)
    except ValueError as error:
        raise CheckError(f"the lead {text!r} is not a number") from error
    if not 0 <= lead < math.inf:
        raise CheckError(f"the lead {text} is not finite and at least 0")
    return lead
