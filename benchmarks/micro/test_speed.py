"""How near the hot loops come to what the machine can do: matrix products, bare ONNX Runtime.

    OMP_NUM_THREADS=1 python -m pytest benchmarks/micro --benchmark-only -s

It looks for the ACAS Xu networks as the tests do (../shared/data, or SIMCERT_DATA). One thread.
What a share compares is run in turns, and of each the shortest of many runs counts: other work on
the machine lengthens runs and never shortens them. The column "Median" is the time of a round;
shares are printed, and in ``extra_info`` of --benchmark-json.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import pruners
from simcert.bounds.dense import DensePropagator, Layers, layers_of
from simcert.claim import Claim, read_region
from simcert.progress import Silent
from simcert.sampling import Leaves, Remainder, estimate, make_plan
from simcert.sampling.draws import Draws, chunk_rows
from simcert.search import BranchAndBound
from simcert.verification.pair import Pair

_ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SIMCERT_DATA", _ROOT.parent / "shared/data")) / "acasxu"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the ACAS Xu networks are not there")


@pytest.fixture(params=["2_5", "3_9"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """A network and its copy with 5 % of the weights pruned."""
    original = DATA / f"onnx/ACASXU_run2a_{request.param}_batch_2000.onnx"
    copy = tmp_path / "copy.onnx"
    pruners.magnitude(original, sparsity=0.05, scope="global").save(copy)
    claim = Claim(read_region(DATA / "vnnlib/prop_1.vnnlib", inputs=5), tolerance=0.05)
    return Pair.read(original, copy, claim, threads=1)


def shortest(*runs: Callable[[], object], rounds: int = 25) -> list[float]:
    """Seconds of each of several runs, the shortest of many, taken in turns."""
    for run in runs:
        run()
    seconds = [float("inf")] * len(runs)
    for _ in range(rounds):
        for index, run in enumerate(runs):
            start = time.thread_time()
            run()
            seconds[index] = min(seconds[index], time.thread_time() - start)
    return seconds


def products(n: int, times: int) -> Callable[[], None]:
    """Multiply matrices of float64 (n, n), several times."""
    left, right, out = np.random.default_rng(0).random((3, n, n))

    def run() -> None:
        for _ in range(times):
            np.dot(left, right, out)

    return run


def test_boxes(pair: Pair, benchmark) -> None:
    """The compiled loops on 1,024 boxes of a search."""
    assert pair.dual is not None
    search = BranchAndBound(pair.dual, pair.claim, lambda x: 0.0 * x[:, 0], pair.f.dtype, keep=True)
    search.run(deadline=float("inf"), max_boxes=3000, progress=Silent())
    state = search.state
    assert state is not None
    boxes = state.open.take(slice(0, 1024))
    layers = layers_of(pair.dual, float32=True)
    assert layers is not None
    rows = pair.claim.divergence.rows(pair.dual.outputs)
    functions = tuple(torch.as_tensor(c) for c in (rows.f, rows.g, rows.difference))
    propagator = DensePropagator(layers, *functions)
    arguments = tuple(torch.as_tensor(c) for c in (boxes.lower, boxes.upper, boxes.inherited))

    def run() -> np.ndarray:
        return propagator.bound(*arguments).inherited.numpy()

    inherited = benchmark(run)
    corners = boxes.lower, boxes.upper
    done, whole = (
        2.0 * multiplications(layers, len(rows.f), *corners, inherited, leave_out=leave_out)
        for leave_out in (True, False)
    )
    seconds, large, small = shortest(run, products(512, 1), products(50, 200))
    rate = max(2.0 * 512**3 / large, 2.0 * 50**3 * 200 / small)  # the faster of both
    benchmark.extra_info |= {
        "boxes_per_second": len(boxes) / seconds,
        "products_per_second": rate,
        "share_of_matrix_products": done / seconds / rate,
        "share_if_nothing_were_left_out": whole / seconds / rate,
    }
    print(
        f"\n{len(boxes) / seconds:,.0f} boxes a second on one thread; products of "
        f"{done / len(boxes) / 1e6:.2f} million operations each, {done / seconds / rate:.0%} "
        f"of the rate of matrix products ({rate / 1e9:.0f} billion a second); with the neurons "
        f"that are left out {whole / len(boxes) / 1e6:.2f} million, {whole / seconds / rate:.0%}"
    )


def multiplications(
    layers: Layers,
    functions: int,
    lower: np.ndarray,
    upper: np.ndarray,
    known: np.ndarray,
    *,
    leave_out: bool,
) -> float:
    """Multiplications in the matrix products of :class:`DensePropagator`, at least.

    With ``leave_out`` between the neurons that are not 0 in both networks, as it computes them,
    else between all. Rows are counted of the neurons that are unstable in the end, of the original
    twice; those that only a symbolic bound made stable were work too, and those of the compressed
    network where it is not close.
    """
    count, total, used = len(lower), np.zeros(len(lower)), 0
    active = [np.full(count, lower.shape[1])]
    chain = np.zeros(count)  # of one row of one network, from here to the input
    for k, relu in enumerate(layers.relus):
        size = layers.sizes[k + 1]
        if layers.refined[k]:
            a, b = (known[:, part : part + 4 : 3, used : used + size] for part in range(2))
            used += size
            unstable = ((a[:, 0] < 0) & (a[:, 1] > 0)).sum(1)
            either = ((a[:, 0] < 0) | (b[:, 0] < 0)) & ((a[:, 1] > 0) | (b[:, 1] > 0))
            total += 2 * (2 * unstable + 4 * either.sum(1)) * chain
        else:
            a, b = (first_layer(layers, part, k, lower, upper) for part in range(2))
        kept = (a[:, 1] > 0) | (b[:, 1] > 0) | (not relu or not leave_out)
        active.append(kept.sum(1))
        chain = chain + active[-1] * active[-2]
    return float((total + 2 * functions * (4 + 2) * chain).sum())


def first_layer(
    layers: Layers, part: int, k: int, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Intervals (B, 2, size) of the first layer; of the last one nothing has to be known."""
    size = layers.sizes[k + 1]
    if k > 0:
        return np.ones((len(lower), 2, size))
    weight = layers.weights[part, k, :size, : layers.sizes[k]]
    centre = (lower + upper) / 2 @ weight.T + layers.biases[part, k, :size]
    radius = (upper - lower) / 2 @ abs(weight).T
    return np.stack([centre - radius, centre + radius], 1)


_CHUNKS = 16


def test_samples(pair: Pair, benchmark) -> None:
    """Draws, both files and the divergence, and all statistics, against both files alone."""
    region = pair.claim.region
    one = np.ones(region.boxes)
    corners = region.lower, region.upper
    numbers = np.arange(region.boxes)
    leaves = Leaves(*corners, one, numbers, *corners, 2000.0 * one)
    rows = chunk_rows(region.inputs)
    draws = Draws(leaves, pair.claim.distribution, seed=0, stream=0, rows=rows, dtype=pair.f.dtype)
    measure = pair.drawn(np.inf)
    remainder = Remainder(leaves, 1.0, 0.0, 0.0, 0.0, mass_lower=1.0)
    samples = _CHUNKS * rows
    plan = make_plan(remainder, samples=samples, seed=0, confidence=0.99, tolerance=0.05)
    sessions = [(r._batches, r._model.graph.input) for r in (pair.f, pair.g)]
    x = draws.chunk(0)
    fed = [
        (session, {tensor.name: x.astype(tensor.dtype).reshape(rows, *tensor.sample[1:])})
        for session, tensor in sessions
    ]

    def run() -> object:
        return measure(draws.chunk(0))

    def whole() -> object:
        return estimate(plan, remainder, pair.claim.distribution, measure, dtype=pair.f.dtype)

    def bare() -> object:
        return [session.run(None, feed) for session, feed in fed]

    benchmark(run)
    seconds, alone = shortest(run, bare, rounds=200)
    together = shortest(whole, rounds=8)[0] / _CHUNKS
    benchmark.extra_info |= {
        "samples_per_second": rows / seconds,
        "share_of_bare_runs": alone / seconds,
        "share_with_statistics": alone / together,
    }
    print(
        f"\n{rows / seconds:,.0f} samples a second on one thread: {alone / seconds:.0%} of bare "
        f"ONNX Runtime; with the statistics of {samples:,} draws {alone / together:.0%}"
    )
