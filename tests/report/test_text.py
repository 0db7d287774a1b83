import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simcert.bounds.layers import LayerBound
from simcert.report.text import render
from simcert.result import Proof, Result, Verdict


def test_reads_like_this(result: Result) -> None:
    text = render(result)
    assert text.startswith("REFUTED: the claim is false\n\n  P(‖f(x) − g(x)‖∞ > 0.05) ≤ 0.01")
    for line in (
        "  proved             ≤ 0.07001",
        "  largest seen       ≥ 0.0625",
        "  proved per output  ≤ 0.07001, 0.01001",
        "  search             time limit, 1,234 boxes",
        "  d ≤ ε proved on    ≥ 75 %",
        "  d > ε proved on    ≥ 12.5 %",
        "  undecided by proof  ≤ 12.5 %",
        "  P(d > ε)            ≥ 0.125 and ≤ 0.2501, with certainty",
        "                      ≤ 0.01 is allowed",
        "Witness: an input with d > ε",
        "  input      speed = 0.5 [m/s]",
        "  time      1.2 s on 1 thread",
    ):
        assert " ".join(line.split()) in [" ".join(other.split()) for other in text.splitlines()]


@pytest.mark.parametrize("width", [10, 30, 40, 59, 60, 80, 200])
def test_no_line_is_too_long(result: Result, width: int) -> None:
    lines = render(result, width).splitlines()
    assert max(map(len, lines)) <= max(width, 30)
    assert all(line == line.rstrip() for line in lines)


def test_nothing_from_a_file_controls_the_terminal(result: Result) -> None:
    text = render(result)
    assert all(char == "\n" or char.isprintable() for char in text)
    for escaped in (r"net\x1b]0;owned\x07.onnx", r"ang\x1b[31mle", r"height\n", r"\u202erad"):
        assert escaped in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(codec=None), max_size=40), width=st.integers(30, 100))
def test_any_file_name(result: Result, name: str, width: int) -> None:
    model = replace(result.original, path=name)
    text = render(replace(result, original=model), width)
    assert all(char == "\n" or char.isprintable() for char in text)
    assert max(map(len, text.splitlines())) <= width


def test_without_a_proof_the_reason_is_given(result: Result) -> None:
    text = render(
        replace(
            result,
            verdict=Verdict.INCONCLUSIVE,
            proof=Proof.unavailable(2, "operator 'Erf' (node 'gelu') is not supported"),
            witness=None,
        )
    )
    assert "no bound" in text
    assert "none: operator 'Erf' (node 'gelu')" in text
    assert "Witness" not in text


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_headline(result: Result, verdict: Verdict) -> None:
    assert render(replace(result, verdict=verdict)).startswith(f"{verdict.upper()}: ")


@pytest.mark.parametrize("verdict", [Verdict.PROVED, Verdict.CERTIFIED, Verdict.INCONCLUSIVE])
def test_without_a_tolerance_nothing_passes(result: Result, verdict: Verdict) -> None:
    question = replace(result.claim, tolerance=None, max_violation=None)
    text = render(replace(result, claim=question, verdict=verdict))
    assert "claim holds" not in text
    assert "Probability" not in text
    assert "Largest divergence found" in text


def test_a_single_infinity_is_no_number(result: Result) -> None:
    text = render(replace(result, proof=replace(result.proof, per_output=(math.inf, 0.5))))
    assert "≤ inf, 0.5" in text


def test_the_layer_of_greatest_growth_is_named(result: Result) -> None:
    differences = ("a", 0.0), ("b", 0.5), ("c", 1.0), ("d", 4.0), ("e", math.inf)
    layers = tuple(LayerBound(name, name, 3, 1.0, found) for name, found in differences)
    text = render(replace(result, proof=replace(result.proof, layers=layers)))
    assert "d: |δ| ≤ 4, 4 times that of the layer before" in " ".join(text.split())
