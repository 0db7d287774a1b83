"""Published pairs whose truth is known: one input is exhausted, another training run is refuted."""

from pathlib import Path

import numpy as np
import pytest

from simcert import Claim, Verdict, verify
from simcert.claim import Region, divergences
from simcert.model import load
from simcert.model.runtime import Runtime


def sine(data: Path) -> tuple[Path, Path]:
    folder = data / "pairs/onnx"
    return folder / "tflm_sine_fp32.onnx", folder / "tflm_sine_int8_fio.onnx"


@pytest.fixture(scope="module")
def worst(data: Path) -> float:
    """The greatest difference over [0, 2π] on a grid, and on both sides of each threshold."""
    step = np.float64(np.float32(0.024480115622282028))
    thresholds = ((np.arange(257) + 0.5) * step).astype(np.float32)
    x = np.concatenate(
        [
            np.linspace(0, 2 * np.pi, 200_001, dtype=np.float32),
            thresholds,
            np.nextafter(thresholds, np.float32(-1)),
            np.nextafter(thresholds, np.float32(9)),
        ]
    )
    x = x[x <= np.float32(2 * np.pi)][:, None]
    f, g = (Runtime(load(path)).run(x) for path in sine(data))
    return float(np.abs(f - g).max())


@pytest.mark.parametrize("arithmetic", ["float32", "real"])
def test_the_sine_pair_is_decided_over_its_whole_range(
    data: Path, worst: float, arithmetic: str
) -> None:
    region = Region.from_boxes(np.array([[0.0]]), np.array([[2 * np.pi]]), source="[0, 2π]")
    narrowed = verify(*sine(data), Claim(region, arithmetic=arithmetic), samples=1000)
    assert worst <= narrowed.proof.bound <= 1.01 * worst
    assert narrowed.witness.divergence >= worst / 1.01
    for tolerance, verdict in ((1.01 * worst, Verdict.PROVED), (worst / 1.01, Verdict.REFUTED)):
        claim = Claim(region, tolerance=tolerance, arithmetic=arithmetic)
        assert verify(*sine(data), claim, samples=1000).verdict is verdict


def test_another_training_run_is_refuted(data: Path) -> None:
    """On the published stimuli, for the scores and for the labels."""
    pair = [data / "pairs/onnx" / f"mlptiny_kws_{name}.onnx" for name in ("sm_fp32", "int8_fio")]
    with np.load(data / "pairs/inputs/kws01_mfcc_int8.npz") as stored:
        codes = stored["x_int8"][:200].reshape(200, -1)
    x = ((codes.astype(np.float64) - 83) * 0.5847).astype(np.float32)
    region = Region.from_boxes(x.astype(np.float64), x.astype(np.float64), source="stimuli")
    for claim in (
        Claim(region, tolerance=0.1),
        Claim(region, divergence=divergences.parse("top1"), tolerance=0.5, max_violation=0.01),
    ):
        assert verify(*pair, claim, time_limit=60).verdict is Verdict.REFUTED
