"""Answers to queries: against truths that are known, against samples, and on ACAS Xu."""

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from networks import random_mlp, write_mlp

import pruners
from simcert.claim import read_region
from simcert.claim.vnnlib2 import read_query
from simcert.cli import main
from simcert.errors import ClaimError, ModelError
from simcert.model import load
from simcert.model.runtime import Runtime
from simcert.verification.query import Answer, decide


def pair_text(inputs: int, outputs: int, asserted: str, element: str = "real") -> str:
    box = "".join(f"(assert (and (>= X[{i}] -1) (<= X[{i}] 1)))" for i in range(inputs))
    same = "".join(f"(assert (== X[{i}] U[{i}]))" for i in range(inputs))
    return (
        f"(vnnlib-version <2.0>)(declare-network f (declare-input X {element} [{inputs}])"
        f"(declare-output Y {element} [{outputs}]))"
        f"(declare-network g (isomorphic-to f) (declare-input U {element} [{inputs}])"
        f"(declare-output V {element} [{outputs}])){box}{same}{asserted}"
    )


def ask(folder: Path, text: str, files: dict[str, Path], **options: object) -> Answer:
    path = folder / "query.vnnlib"
    path.write_text(text)
    return decide(read_query(path), files, threads=1, **options)  # type: ignore[arg-type]


@pytest.fixture
def ramp(tmp_path: Path) -> dict[str, Path]:
    """f(x) = relu(x), g(x) = relu(x) + relu(x − 1/2)/4, on one input: f − g is −1/8 to 0."""
    weight = np.array([[1.0], [1.0]])
    bias = np.array([0.0, -0.5])
    return {
        name: write_mlp(tmp_path / f"{name}.onnx", [(weight, bias), (np.array([out]), np.zeros(1))])
        for name, out in (("f", [1.0, 0.0]), ("g", [1.0, 0.25]))
    }


@pytest.mark.parametrize(
    ("asserted", "status"),
    [
        ("(> V[0] (+ Y[0] 0.126))", "unsat"),
        ("(> V[0] (+ Y[0] 0.124))", "sat"),
        ("(< V[0] (- Y[0] 0.000001))", "unsat"),
        ("(<= V[0] Y[0])", "sat"),
        ("(== V[0] 0)", "sat"),
        ("(and (> (- V[0] Y[0]) 0.1) (< (- V[0] Y[0]) 0.05))", "unsat"),
        ("(and (> (* 2 (- V[0] Y[0])) 0.1) (< Y[0] 0.6))", "unsat"),
        ("(and (> (* 2 (- V[0] Y[0])) 0.1) (< Y[0] 0.8))", "sat"),
        ("(or (> V[0] 2) (and (< X[0] -0.5) (> Y[0] 0.01)))", "unsat"),
        ("(or (> V[0] 2) (and (> X[0] 0.5) (> Y[0] 0.01)))", "sat"),
        ("(and (>= X[0] 1) (>= V[0] 1.124999))", "sat"),
        ("(and (> X[0] 0.9999) (> V[0] 1.1248))", "sat"),
        ("(< X[0] 0)", "sat"),
    ],
)
def test_known_answers(tmp_path: Path, ramp: dict[str, Path], asserted: str, status: str) -> None:
    answer = ask(tmp_path, pair_text(1, 1, f"(assert {asserted})"), ramp)
    assert answer.status == status, answer.notes
    assert (answer.assignment is not None) == (status == "sat")


def test_a_tie_is_undecided_where_bounds_round(tmp_path: Path, ramp: dict[str, Path]) -> None:
    for asserted in ("(< V[0] Y[0])", "(and (>= X[0] 1) (>= V[0] 1.125))"):
        text = pair_text(1, 1, f"(assert {asserted})")
        assert ask(tmp_path, text, ramp, max_boxes=1000).status == "unknown"


def test_an_open_bound_is_not_reached(tmp_path: Path, ramp: dict[str, Path]) -> None:
    asserted = "(assert (< X[0] 1))(assert (>= Y[0] 0.999999))"
    answer = ask(tmp_path, pair_text(1, 1, asserted), ramp)
    assert answer.status == "sat"
    assert answer.assignment is not None
    assert answer.assignment.input[0] < 1.0
    # No number of float32 lies in between, yet over the reals there is one: no proof, no witness.
    asserted = "(assert (< X[0] 1))(assert (>= Y[0] 0.99999999))"
    assert ask(tmp_path, pair_text(1, 1, asserted), ramp).status == "unknown"


def test_constants_between_two_numbers_of_the_input_type(
    tmp_path: Path, ramp: dict[str, Path]
) -> None:
    answer = ask(tmp_path, pair_text(1, 1, "(assert (== X[0] 0.7))(assert (> V[0] Y[0]))"), ramp)
    assert answer.status == "sat"
    assert any("rounded to the nearest" in note for note in answer.notes)


def test_the_answers_of_random_queries_hold(tmp_path: Path) -> None:
    f = random_mlp(tmp_path / "f.onnx", [2, 6, 2], seed=3)
    g = random_mlp(tmp_path / "g.onnx", [2, 6, 2], seed=3, noise=0.05)
    runs = [Runtime(load(path)) for path in (f, g)]
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 2)).astype(np.float32)
    outputs = np.hstack([run.run(points) for run in runs])
    generator = np.random.default_rng(1)
    seen = set()
    for _ in range(24):
        functions = generator.integers(-2, 3, (2, 2, 4)) / 2
        values = np.einsum("ijk,nk->nij", functions, outputs)
        # Limits around the largest value that is seen, so that both answers are common.
        limits = np.round(
            values.min(2, initial=np.inf).max(0)[:, None] + generator.normal(0, 0.05, (2, 2)), 3
        )
        atoms = [
            [
                f"(>= (+ {' '.join(f'(* {c} {v})' for c, v in zip(row, NAMES, strict=True))}) {t})"
                for row, t in zip(rows, limit, strict=True)
            ]
            for rows, limit in zip(functions, limits, strict=True)
        ]
        text = "(assert (or " + " ".join(f"(and {' '.join(a)})" for a in atoms) + "))"
        answer = ask(tmp_path, pair_text(2, 2, text), {"f": f, "g": g}, time_limit=20)
        seen.add(answer.status)
        satisfied = (values >= limits).all(2).any(1)
        if answer.status == "unsat":
            assert not satisfied.any()
        if answer.assignment is not None:
            own = np.concatenate(answer.assignment.outputs)
            exact = [Fraction(v) for v in own.tolist()]
            assert any(
                all(
                    sum(Fraction(c) * e for c, e in zip(row, exact, strict=True))
                    >= Fraction(str(t))
                    for row, t in zip(rows, limit, strict=True)
                )
                for rows, limit in zip(functions.tolist(), limits.tolist(), strict=True)
            )
            for run, values_of in zip(runs, answer.assignment.outputs, strict=True):
                assert np.array_equal(run.run_exact(answer.assignment.input[None])[0], values_of)
    assert {"sat", "unsat"} <= seen


NAMES = ("Y[0]", "Y[1]", "V[0]", "V[1]")


def test_one_network_and_networks_that_are_equal(tmp_path: Path, ramp: dict[str, Path]) -> None:
    text = pair_text(1, 1, "(assert (> V[0] Y[0]))").replace("isomorphic-to", "equal-to")
    assert ask(tmp_path, text, {"f": ramp["f"]}).status == "unsat"
    with pytest.raises(ClaimError, match="the files differ"):
        ask(tmp_path, text, ramp)
    one = (
        "(vnnlib-version <2.0>)(declare-network f (declare-input X float32 [1])"
        "(declare-output Y float32 [1]))(assert (<= X[0] 1))(assert (>= X[0] 0))"
    )
    answer = ask(tmp_path, one + "(assert (> Y[0] 1.001))", {"f": ramp["f"]})
    assert answer.status == "unsat"
    assert answer.results[0].claim.arithmetic == "float32"
    assert ask(tmp_path, one + "(assert (> Y[0] 0.9))", {"f": ramp["f"]}).status == "sat"


def test_files_must_be_what_is_declared(tmp_path: Path, ramp: dict[str, Path]) -> None:
    text = pair_text(1, 1, "(assert (> V[0] Y[0]))")
    with pytest.raises(ClaimError, match="which file is network 'g'"):
        ask(tmp_path, text, {"f": ramp["f"]})
    with pytest.raises(ClaimError, match="declares no network 'h'"):
        ask(tmp_path, text, {**ramp, "h": ramp["f"]})
    with pytest.raises(ModelError, match="has 1 elements"):
        ask(tmp_path, pair_text(2, 1, "(assert (> V[0] Y[0]))"), ramp)
    with pytest.raises(ModelError, match="declared as float64"):
        ask(tmp_path, pair_text(1, 1, "(assert (> V[0] Y[0]))", "float64"), ramp)


def acas_text(data: Path, tolerance: float) -> str:
    region = read_region(data / "acasxu" / "vnnlib" / "prop_1.vnnlib", 5)
    lines = ["(vnnlib-version <2.0>)"]
    for name, relation in (("f", ""), ("g", "(isomorphic-to f)")):
        lines.append(
            f"(declare-network {name} {relation} (declare-input X_{name} real [1,1,1,5])"
            f"(declare-output Y_{name} real [1,5]))"
        )
    for i, (low, high) in enumerate(
        zip(region.lower[0].tolist(), region.upper[0].tolist(), strict=True)
    ):
        x = f"X_f[0,0,0,{i}]"
        lines.append(f"(assert (and (<= {x} {high!r}) (>= {x} {low!r})))")
        lines.append(f"(assert (== {x} X_g[0,0,0,{i}]))")
    lines.append("(assert (or")
    for i in range(5):
        f, g = f"Y_f[0,{i}]", f"Y_g[0,{i}]"
        lines.append(f"(or (> {g} (+ {f} {tolerance})) (< {g} (- {f} {tolerance})))")
    return "\n".join([*lines, "))"])


def run_command(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["verify", *arguments])


def test_the_command_on_acas_xu(data: Path, tmp_path: Path) -> None:
    original = data / "acasxu" / "onnx" / "ACASXU_run2a_1_1_batch_2000.onnx"
    pruned, query = tmp_path / "pruned.onnx", tmp_path / "query.vnnlib"
    pruners.magnitude(original, sparsity=0.05).save(pruned)
    files = ("--network", f"f={original}", "--network", f"g={pruned}", "--threads", "1")
    query.write_text(acas_text(data, 0.05))
    done = run_command(str(query), *files)
    assert (done.exit_code, done.stdout) == (0, "unsat\n")

    query.write_text(acas_text(data, 0.001))
    done = run_command(str(query), *files)
    first, *lines = done.stdout.splitlines()
    assert (done.exit_code, first) == (1, "sat")
    sizes = {"X_f": 5, "Y_f": 5, "X_g": 5, "Y_g": 5}
    values = {}
    for name, size in sizes.items():
        shape = "[1,1,1,5]" if name[0] == "X" else "[1,5]"
        assert lines.pop(0) == f"{name} real {shape}"
        values[name] = np.array([float(line) for line in lines[:size]])
        del lines[:size]
    assert not lines
    x = values["X_f"][None]
    assert np.array_equal(values["X_f"], values["X_g"])
    assert np.array_equal(Runtime(load(original)).run_exact(x)[0], values["Y_f"])
    assert np.array_equal(Runtime(load(pruned)).run_exact(x)[0], values["Y_g"])
    assert np.abs(values["Y_f"] - values["Y_g"]).max() > 0.001
    region = read_region(data / "acasxu" / "vnnlib" / "prop_1.vnnlib", 5)
    assert region.contains(x).all()

    query.write_text(acas_text(data, 0.0029))
    done = run_command(str(query), *files, "--boxes", "1")
    assert done.exit_code in (1, 3)
    assert done.stdout.splitlines()[0] in ("sat", "unknown")
    done = run_command(str(query), *files, "--timeout", "1e-9")
    assert (done.exit_code, done.stdout) == (3, "timeout\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tolerance", "0.1"], "--tolerance is for two networks"),
        (["--certificate", "c.json"], "--certificate is for two networks"),
        (["--network", "f"], "write NAME=FILE"),
        (["--network", "f=a.onnx", "--network", "f=b.onnx"], "given twice"),
    ],
)
def test_options_that_say_nothing_are_refused(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    query = tmp_path / "query.vnnlib"
    query.write_text(pair_text(1, 1, "(assert (> V[0] Y[0]))"))
    done = run_command(str(query), *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_two_files_need_no_networks(ramp: dict[str, Path]) -> None:
    done = run_command(str(ramp["f"]), str(ramp["g"]), "--network", "f=a.onnx")
    assert done.exit_code == 2
    done = run_command(str(ramp["f"]))
    assert done.exit_code == 2
    assert "give two ONNX files" in done.stderr


def test_every_case_counts(tmp_path: Path, ramp: dict[str, Path]) -> None:
    """Boxes with conditions of their own: one that is satisfied is found behind others."""
    parts = [
        f"(and (>= X[0] {low}) (<= X[0] {low + 0.25}) (> V[0] {limit}))"
        for low, limit in itertools.zip_longest(
            [-1.0, -0.5, 0.0, 0.5], [0.1, 0.2, 0.3, 0.7], fillvalue=0.0
        )
    ]
    text = pair_text(1, 1, f"(assert (or {' '.join(parts)}))")
    answer = ask(tmp_path, text, ramp)
    assert answer.status == "sat"
    assert [r.verdict.value for r in answer.results] == ["proved", "proved", "proved", "refuted"]
    unsatisfied = pair_text(1, 1, f"(assert (or {' '.join(parts[:3])}))")
    assert ask(tmp_path, unsatisfied, ramp).status == "unsat"
    answer = ask(tmp_path, unsatisfied, ramp, max_boxes=1)
    assert answer.status == "unknown"
    assert any("not looked at" in note for note in answer.notes)
