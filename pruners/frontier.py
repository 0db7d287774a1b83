"""The compression-fidelity frontier: many compressed variants of one network, each verified.

The variants are made before the first draw, their number K is fixed then, and each verification
spends α/K, so that all K statements hold together with confidence 1 − α.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruners.chain import Training, compress
from pruners.onnx_edit import Network
from pruners.products import multiplications
from pruners.sites import weight_sites
from simcert.claim import Claim
from simcert.errors import ClaimError, ModelError
from simcert.model import load
from simcert.model.runtime import Runtime
from simcert.result import Result
from simcert.verification import verify

_BITS = {"float16": 16}


@dataclass(frozen=True)
class Cost:
    """What the weights of a network take.

    Attributes:
        weights: values of Gemm, MatMul and Conv weights.
        nonzero: those that are not zero.
        bytes: the nonzero ones at the bits that they have: what a sparse format cannot go below.
        macs: multiplications for one sample that are not by zero.
        file_bytes: size of the ONNX file.
    """

    weights: int
    nonzero: int
    bytes: int
    macs: int
    file_bytes: int

    @property
    def sparsity(self) -> float:
        """Share of zeros."""
        return 1 - self.nonzero / self.weights

    def gone(self, original: "Cost") -> float:
        """The share of the original's weights that are zero or no longer there."""
        return 1 - self.nonzero / original.weights


@dataclass(frozen=True)
class Variant:
    """One way to compress.

    Attributes:
        method: name of the compressor.
        options: its options, calibration data and labels apart.
        seed: of its verification.
        path: the compressed file, if it could be made.
        cost: of the compressed file.
        result: of the verification, with confidence 1 − α/K.
        accuracy: on labelled data.
        error: why there is no file.
    """

    method: str
    options: Mapping[str, Any]
    seed: int
    path: Path | None = None
    cost: Cost | None = None
    result: Result | None = None
    accuracy: float | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """The method and its options in words."""
        return " ".join([self.method, *(f"{k} {v}" for k, v in self.options.items())])

    @property
    def passed(self) -> bool:
        """Whether the claim was shown."""
        return self.result is not None and self.result.passed is True

    @property
    def violation(self) -> float:
        """The upper bound of P(d > ε): proved or certified, whichever is less."""
        if self.result is None:
            return 1.0
        statistics = self.result.statistics
        sampled = None if statistics is None else statistics.violation_upper
        proved = self.result.proof.violation_upper
        return proved if sampled is None else min(proved, sampled)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "method": self.method,
            "options": dict(self.options),
            "seed": self.seed,
            "file": None if self.path is None else self.path.name,
            "cost": None
            if self.cost is None
            else vars(self.cost) | {"sparsity": self.cost.sparsity},
            "accuracy": self.accuracy,
            "violation_upper": self.violation,
            "passed": self.passed,
            "result": None if self.result is None else self.result.to_dict(),
            "error": self.error or None,
        }


@dataclass(frozen=True)
class Frontier:
    """All variants of one network.

    Attributes:
        original: what it takes.
        accuracy: of the original on the labelled data.
        variants: in the order in which they were asked for.
        family: K, among how many verifications the confidence is shared.
        epochs: for how many each variant was trained.
    """

    original: Cost
    accuracy: float | None
    variants: tuple[Variant, ...]
    family: int
    epochs: int = 0

    @property
    def chosen(self) -> Variant | None:
        """The smallest variant that meets the claim: by bytes, multiplications, file size."""
        return min((v for v in self.variants if v.passed), key=_size, default=None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        chosen = self.chosen
        return {
            "schema": "simcert-sweep/0.1",
            "original": vars(self.original),
            "accuracy": self.accuracy,
            "family": self.family,
            "epochs": self.epochs,
            "chosen": None if chosen is None else chosen.name,
            "variants": [variant.to_dict() for variant in self.variants],
        }


@dataclass(frozen=True)
class Labelled:
    """Data to measure accuracy on.

    Attributes:
        inputs: (n, inputs).
        classes: (n,).
        least: whether the class is the output of least value.
    """

    inputs: NDArray[np.float64]
    classes: NDArray[np.int64]
    least: bool = False

    def accuracy(self, path: Path) -> float:
        """The share of right answers of a file."""
        outputs = Runtime(load(path)).run(self.inputs)
        answers = outputs.argmin(axis=1) if self.least else outputs.argmax(axis=1)
        return float(np.mean(answers == self.classes))


def sweep(
    original: str | os.PathLike[str],
    folder: Path,
    settings: Sequence[tuple[str, Mapping[str, Any]]],
    claim: Claim,
    *,
    data: Mapping[str, Mapping[str, Any]] | None = None,
    training: Training | None = None,
    labelled: Labelled | None = None,
    seed: int = 0,
    announce: Callable[[str], None] = lambda _: None,
    **verification: Any,
) -> Frontier:
    """Make every variant, verify each, and measure.

    A setting that is impossible (a sparsity that cannot be reached) becomes a variant without a
    file.

    Args:
        original: path of an ONNX file.
        folder: where the compressed files go; made if need be.
        settings: method and options of each variant.
        claim: what is to be shown; with a tolerance.
        data: calibration data and labels by method, given on to it.
        training: of every variant, see :func:`pruners.chain.compress`.
        labelled: for the accuracy.
        seed: variant i is verified with ``seed + i``.
        announce: is told what happens, in words.
        verification: further arguments of :func:`simcert.verification.verify`.

    Raises:
        SimcertError: no variant could be made, or the claim or the original is rejected.
    """
    if claim.tolerance is None:
        raise ClaimError("a sweep needs a tolerance: which variant is good enough?")
    path = Path(original)
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Variant] = []
    for index, (method, options) in enumerate(settings):
        variant = Variant(method, options, seed + index)
        announce(f"compressing: {variant.name}")
        target = folder / f"{variant.name.replace(' ', '-').replace('/', '-')}.onnx"
        try:
            given = {**options, **(data or {}).get(method, {})}
            compressed = compress(path, method, given, training)[-1]
        except ModelError as error:
            made.append(Variant(method, options, seed + index, error=str(error)))
            continue
        compressed.save(target)
        cost = cost_of(compressed.data, _BITS.get(method) or options.get("bits"))
        made.append(Variant(method, options, seed + index, target, cost))
    family = sum(variant.path is not None for variant in made)
    if not family:
        raise ModelError(f"no variant could be made; the first one: {made[0].error}")
    done = []
    for variant in made:
        if variant.path is not None:
            announce(f"verifying: {variant.name}")
            result = verify(
                path, variant.path, claim, seed=variant.seed, family=family, **verification
            )
            accuracy = None if labelled is None else labelled.accuracy(variant.path)
            variant = replace(variant, result=result, accuracy=accuracy)
        done.append(variant)
    network = Network(path)
    accuracy = None if labelled is None else labelled.accuracy(path)
    epochs = 0 if training is None else training.epochs
    return Frontier(cost_of(network.original), accuracy, tuple(done), family, epochs)


def cost_of(model: bytes, bits: int | None = None) -> Cost:
    """What the weights of a file take; ``bits`` each, or what they are stored in."""
    network = Network(model)
    products = multiplications(network.graph)
    weights = nonzero = size = macs = 0
    for site in weight_sites(network):
        count = int(np.count_nonzero(site.weights))
        weights += site.weights.size
        nonzero += count
        size += count * (bits or 8 * site.weights.itemsize)
        dense = sum(products.get(node, 0) for node in site.nodes)
        macs += round(dense * count / site.weights.size)
    return Cost(weights, nonzero, -(-size // 8), macs, len(model))


def _size(variant: Variant) -> tuple[int, int, int]:
    assert variant.cost is not None  # noqa: S101 - a variant that passed has a file
    return variant.cost.bytes, variant.cost.macs, variant.cost.file_bytes
