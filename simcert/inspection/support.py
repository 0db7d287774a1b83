"""How far each operator can be followed: proved, bounded, sampled, or run by the runtime alone."""

from __future__ import annotations

from enum import StrEnum

from simcert.model.lowering import LOWERINGS
from simcert.model.operators import OPERATORS

_EXACT = frozenset({"affine", "movement", "piecewise", "reductions"})
"""Modules of lowerings that write an operator with affine steps and rectifiers alone."""

_REWRITTEN = frozenset(
    {"ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
)
"""Integer kernels that a normalising pass writes as quantisers and products of floats."""


class Support(StrEnum):
    """What can be said of an operator, best first."""

    PROVED = "proved"
    """Written exactly with affine steps and rectifiers."""
    BOUNDED = "bounded"
    """Bounded through relaxations of functions or products."""
    SAMPLED = "sampled"
    """Run here too, with gradients, but not bounded: only statistics."""
    RUN = "run"
    """Run by ONNX Runtime alone: only statistics, and no gradients to look for a witness."""


_MEANING = {
    Support.PROVED: (
        "written exactly as affine steps and rectifiers: a worst case can be proved, as tightly as "
        "splitting goes (products and quotients of two tensors that both depend on the input are "
        "bounded)"
    ),
    Support.BOUNDED: (
        "bounded through relaxations of functions or of products: a worst case can be proved, less "
        "tightly on large boxes"
    ),
    Support.SAMPLED: (
        "run by SimCert too, with gradients, but not bounded: the pair is sampled, and a worst "
        "case is inconclusive"
    ),
}


def support_of(operator: str) -> Support:
    """How far an operator (of the default domain, or ``domain::Operator``) can be followed."""
    if operator in _REWRITTEN:
        return Support.BOUNDED
    if operator in LOWERINGS:
        family = LOWERINGS[operator].__module__.rpartition(".")[2]
        return Support.PROVED if family in _EXACT else Support.BOUNDED
    return Support.SAMPLED if operator in OPERATORS else Support.RUN


def _known() -> set[str]:
    """ONNX operators that are in a table; others are SimCert's own, between two passes."""
    return {name for name in {*LOWERINGS, *OPERATORS, *_REWRITTEN} if "::" not in name}


def operators_page() -> str:
    """The page ``docs/operators.md``: every operator that is known, from the tables themselves."""
    lines = [
        "# Operators",
        "",
        "This page is written by `simcert inspect --operators`, from the tables that the tool "
        "itself uses.",
        "",
    ]
    known = sorted(_known())
    for support, meaning in _MEANING.items():
        names = [name for name in known if support_of(name) is support]
        lines += [f"- **{support}** ({len(names)}): {meaning}."]
    lines += [
        "- Any other operator that ONNX Runtime runs: the pair is sampled, and no gradient is used "
        "to look for a witness.",
        "",
        "| operator | at best |",
        "|---|---|",
        *(f"| {name} | {support_of(name)} |" for name in known),
    ]
    return "\n".join(lines) + "\n"
