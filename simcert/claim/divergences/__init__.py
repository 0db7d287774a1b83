"""Divergences between the outputs of two networks, one a file, and their names."""

from collections.abc import Callable, Sequence

from simcert.claim import specification
from simcert.claim.divergences import indices
from simcert.claim.divergences.base import Divergence, Rows
from simcert.claim.divergences.groups import Group, Groups
from simcert.claim.divergences.js import JS
from simcert.claim.divergences.kl import KL
from simcert.claim.divergences.l1 import L1
from simcert.claim.divergences.l2 import L2
from simcert.claim.divergences.linf import LInf
from simcert.claim.divergences.norms import Norm
from simcert.claim.divergences.per_output import PerOutput, parse_tolerances
from simcert.claim.divergences.relative import Relative
from simcert.claim.divergences.selected import Selected
from simcert.claim.divergences.top1 import Top1
from simcert.claim.divergences.top1_confident import Top1Confident
from simcert.claim.divergences.topk import TopK
from simcert.errors import ClaimError

__all__ = [
    "DIVERGENCES",
    "JS",
    "KL",
    "L1",
    "L2",
    "Divergence",
    "Group",
    "Groups",
    "LInf",
    "PerOutput",
    "Relative",
    "Rows",
    "Selected",
    "Top1",
    "Top1Confident",
    "TopK",
    "parse",
    "parse_tolerances",
]


def _topk(options: dict[str, str], decision: str) -> Divergence:
    k = specification.number(options, "k", 5.0, "topk")
    if not k.is_integer():
        raise ClaimError(f"topk: k={k} is not a whole number")
    return TopK(decision, int(k))


def _top1_confident(options: dict[str, str], decision: str) -> Divergence:
    return Top1Confident(decision, specification.number(options, "delta", None, "top1-confident"))


def _relative(options: dict[str, str], _decision: str) -> Divergence:
    return Relative(specification.number(options, "share", None, "relative"))


def _per_output(options: dict[str, str], _decision: str) -> Divergence:
    if not options:
        raise ClaimError("per-output: write per-output:OUTPUTS=TOLERANCE, like 0-3=0.1,4=0.02")
    return PerOutput(
        tuple(
            (indices.parse(key, "per-output"), specification.number(options, key, None, ""))
            for key in options
        )
    )


_NORMS: dict[str, Norm] = {norm.name: norm for norm in (LInf(), L1(), L2())}


def _groups(options: dict[str, str], _decision: str) -> Divergence:
    groups = []
    for key, value in options.items():
        norm, slash, tolerance = value.partition("/")
        if norm not in _NORMS or not slash:
            raise ClaimError(
                f"groups: {key}={value}: write OUTPUTS=NORM/TOLERANCE, like 0-3=l2/0.5; norms are "
                f"{', '.join(_NORMS)}"
            )
        limit = specification.number({key: tolerance}, key, None, "groups")
        groups.append(Group(indices.parse(key, "groups"), _NORMS[norm], limit))
    return Groups(tuple(groups))


_Maker = Callable[[dict[str, str], str], Divergence]

DIVERGENCES: dict[str, tuple[tuple[str, ...] | None, _Maker]] = {
    "linf": ((), lambda _options, _decision: LInf()),
    "l1": ((), lambda _options, _decision: L1()),
    "l2": ((), lambda _options, _decision: L2()),
    "top1": ((), lambda _options, decision: Top1(decision)),
    "topk": (("k",), _topk),
    "top1-confident": (("delta",), _top1_confident),
    "kl": ((), lambda _options, _decision: KL()),
    "js": ((), lambda _options, _decision: JS()),
    "relative": (("share",), _relative),
    "per-output": (None, _per_output),
    "groups": (None, _groups),
}
"""Every divergence: its options, and what makes it from their values and the decision.

Where the options are None they are sets of outputs.
"""


def parse(text: str, outputs: Sequence[int] | None = None, decision: str = "argmax") -> Divergence:
    """A divergence from its name and options, such as ``"linf"`` or ``"topk:k=3"``.

    Args:
        text: the specification.
        outputs: indices of the outputs to compare; all by default.
        decision: "argmax" or "argmin", for the divergences of decisions.

    Raises:
        ClaimError: an unknown name (the message lists the known ones), option or decision, or
            outputs that cannot be selected.
    """
    name, options = specification.split(text, "divergence", DIVERGENCES)
    allowed, make = DIVERGENCES[name]
    if allowed is not None:
        specification.only(options, allowed, name)
    elif outputs is not None:
        raise ClaimError(f"{name} says itself which outputs are compared; leave the selection out")
    divergence = make(options, decision)
    return divergence if outputs is None else Selected(divergence, tuple(sorted(outputs)))
