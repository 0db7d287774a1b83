"""Reading: both files, ready to run, and what one run of both says about the claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from simcert.bounds import Propagator
from simcert.claim import Claim
from simcert.errors import ClaimError, ModelError, PairError, UnsupportedOperatorError
from simcert.model import Model, load
from simcert.model.agreement import check_agreement
from simcert.model.executor import Executor
from simcert.model.lowering import lower
from simcert.model.runtime import Runtime
from simcert.model.sample import sample
from simcert.pairing import DualProgram, align, spread
from simcert.search import Candidate, Network
from simcert.search.boxes import Float
from simcert.search.witness import Evaluate

_FLOAT32_ROUNDING = 2.0**-14
"""Of the outputs' size: what a float32 run may be off by before it contradicts a proof."""

_SMALL, _SPOT_CHECKS = 256, 64
"""Up to this width every draw is run in float64 too, on wider networks so many of each chunk."""

_SOFTMAX_ROUNDING = 2.0**-40
"""Of the outputs' size: more than the rounding of a divergence of softmax in float64."""

_CONFIRMED = 16
"""Inputs with d > ε whose outputs are bounded, the greatest d first."""


@dataclass(frozen=True)
class Pair:
    """Both files, read and ready to run; the claim's region fits their inputs."""

    original: Model
    compressed: Model
    f: Runtime
    g: Runtime
    claim: Claim
    networks: tuple[Network, Network] | None
    dual: DualProgram | None
    reason: str
    threads: int

    @classmethod
    def read(
        cls,
        original: str | Path | Model,
        compressed: str | Path | Model,
        claim: Claim,
        threads: int,
    ) -> Pair:
        """Read and check both files and fit the claim to them."""
        models = _loaded(original), _loaded(compressed)
        f, g = (Runtime(model, threads) for model in models)
        for what, one, other in (
            ("inputs", f.inputs, g.inputs),
            ("outputs", f.outputs, g.outputs),
            ("input type", f.dtype, g.dtype),
        ):
            if one != other:
                raise PairError(
                    f"{models[0].path} and {models[1].path} cannot be compared: {what} {one} and "
                    f"{other}"
                )
        if claim.region.inputs != f.inputs:
            raise ClaimError(
                f"{claim.region.source} has {claim.region.inputs} inputs, the networks {f.inputs}"
            )
        claim.divergence.check(f.outputs)
        claim = replace(claim, region=claim.region.rounded_outward(f.dtype))
        _check_mass(claim)
        for model, runtime in zip(models, (f, g), strict=True):
            _refuse_random(model, runtime, claim)
        networks: tuple[Network, Network] | None = None
        dual, reason = None, ""
        try:
            check_agreement([model.graph for model in models])
            networks = Executor(models[0].graph), Executor(models[1].graph)
            programs = lower(models[0].graph), lower(models[1].graph)
            networks = programs[0].run, programs[1].run
            claim.divergence.rows(f.outputs)
            _check_arithmetic(claim, models)
            dual = align(programs[0], spread(*programs, models[1].graph.metadata))
            # One runtime computes one file in one way. Of two files that only mean the same, say
            # with a layer split in two, that is not known.
            dual = replace(dual, same=_is_same(*models))
        except (UnsupportedOperatorError, ClaimError) as error:  # these can be sampled all the same
            reason = str(error)
        return cls(*models, f, g, claim, networks, dual, reason, threads)

    def measured(self, x: Float) -> Float:
        """Run both files on points (n, inputs) and return d (n,); NaN becomes infinite."""
        return self.claim.divergence.evaluate(self.f.run(x), self.g.run(x))

    def drawn(self, proved: float, outputs: Sequence[int] = ()) -> Evaluate:
        """Return how draws are measured where d ≤ ``proved`` was proved.

        A claim about float32 is about these very runs. Over the reals, a float32 run may exceed
        what is proved by its rounding; up to 2^-14 of the outputs' size such a draw counts as
        ``proved``. One that exceeds it by more contradicts the proof and is left as it is, to be
        reported; so is one that is not finite. A difference over the reals (in float64) that the
        run hides, by absorption, counts as it is.

        Beside d, in further columns, stand |f_i − g_i| of the runs for each i of ``outputs``.
        """

        def run(x: Float) -> Float:
            f, g = self.f.run(x), self.g.run(x)
            d = self.claim.divergence.evaluate(f, g)
            if self.is_real:
                d = self._as_real(x, np.maximum(np.abs(f), np.abs(g)).max(axis=1), d, proved)
            if not outputs:
                return d
            return np.column_stack([d, np.abs(f - g)[:, list(outputs)]])

        return run

    def _as_real(self, x: Float, size: Float, d: Float, proved: float) -> Float:
        """Return d (n,) of runs as `drawn` counts it; ``size`` (n,) is that of the outputs."""
        rounding = _FLOAT32_ROUNDING * size
        close = np.isfinite(rounding) & (d > proved) & (d <= proved + rounding)
        d = np.where(close, proved, d)
        if self.dual is not None:
            # Where float32 hides a difference of the real networks, that difference counts.
            some = slice(None if self._is_small else _SPOT_CHECKS)
            real = self._real(x[some])
            with np.errstate(invalid="ignore"):  # NaN counts as hidden
                hidden = ~(real - d[some] <= rounding[some])
            d[some] = np.where(hidden, np.fmax(real, d[some]), d[some])
        return d

    def exceeding(self, x: Float) -> Float:
        """Return d (n,); for a claim over the reals never more than the real one where d > ε.

        Against a claim about the networks over the reals, a difference above ε that is only
        rounding, of the float32 run, of the float64 one or of the divergence, is no witness.
        """
        d, tolerance = self.measured(x), self.claim.tolerance
        if tolerance is None or self.networks is None or not self.is_real:
            return d
        above = np.flatnonzero(d > tolerance)
        if len(above):
            d[above] = np.fmin(d[above], self._real(x[above]))
            above = above[d[above] > tolerance]
        if len(above) and self.claim.max_violation is None:
            first = above[np.argsort(-d[above], kind="stable")[:_CONFIRMED]]
            doubtful = np.setdiff1d(above, first[self._confirmed(x[first], tolerance)])
            d[doubtful] = tolerance
        return d

    @property
    def is_real(self) -> bool:
        """Whether the claim is about the networks over the reals, not as they are computed."""
        return self.claim.arithmetic == "real"

    def is_faster_run(self, samples: int) -> bool:
        """Whether the region is a data set that is run sooner than bounded: on wide networks."""
        region = self.claim.region
        points = region.boxes <= samples and bool((region.lower == region.upper).all())
        return points and not self._is_small

    @property
    def _is_small(self) -> bool:
        """Whether the networks are cheap enough to be run a second time on every draw."""
        return self.dual is not None and max(node.size for node in self.dual.nodes) <= _SMALL

    def _real(self, x: Float) -> Float:
        """Return d (n,) of the two networks in float64."""
        assert self.networks is not None  # noqa: S101 - for the type checker
        points = torch.as_tensor(x)
        with torch.no_grad():
            outputs = [network(points).numpy() for network in self.networks]
        return self.claim.divergence.evaluate(*outputs)

    def _confirmed(self, x: Float, tolerance: float) -> NDArray[np.bool_]:
        """Whether d > ε (n,) whatever was rounded on the way: bounds on boxes that are points.

        A divergence of softmax has no lower bound; there d is above ε by more than the rounding of
        its own formula.
        """
        divergence = self.claim.divergence
        if divergence.unit == "nats":
            size = np.maximum(np.abs(self.f.run(x)), np.abs(self.g.run(x))).max(axis=1)
            d = np.fmin(self.measured(x), self._real(x))
            surely: NDArray[np.bool_] = d > tolerance + _SOFTMAX_ROUNDING * (1.0 + size)
            return surely
        if self._propagator is None:
            return np.ones(len(x), dtype=bool)
        points = torch.as_tensor(x)
        bounds = self._propagator.bound(points, points)
        confirmed: NDArray[np.bool_] = (
            divergence.lower(bounds.lower.numpy(), bounds.upper.numpy()) > tolerance
        )
        return confirmed

    @cached_property
    def _propagator(self) -> Propagator | None:
        if self.dual is None:
            return None
        rows = self.claim.divergence.rows(self.dual.outputs)
        f, g, delta = (torch.as_tensor(c) for c in (rows.f, rows.g, rows.difference))
        return Propagator(self.dual, f, g, delta)

    def contradicts(self, candidate: Candidate | None, bound: float) -> bool:
        """Whether d exceeds a proved bound at an input, as run and in float64, beyond rounding."""
        if candidate is None or self.networks is None or not math.isfinite(bound):
            return False
        x = candidate.input[None]
        if not self.is_real:
            return bool(self.measured(x)[0] > bound)
        f, g = self.f.run(x), self.g.run(x)
        size = float(np.maximum(np.abs(f), np.abs(g)).max())
        d = np.fmin(self.claim.divergence.evaluate(f, g), self._real(x))[0]
        return bool(d > bound + _FLOAT32_ROUNDING * size)


def _loaded(model: str | Path | Model) -> Model:
    return model if isinstance(model, Model) else load(model)


def _check_arithmetic(claim: Claim, models: Sequence[Model]) -> None:
    """Refuse to bound in float32 what runs in less, be it in a single tensor.

    Raises:
        ClaimError: a network computes in float16, whose rounding is not covered.
    """
    if claim.arithmetic != "float32":
        return
    for model in models:
        for name, value in sample(model.graph).items():
            if value.dtype == torch.float16 and name not in model.graph.constants:
                raise ClaimError(
                    f"{model.path} computes {name!r} in float16, whose rounding is greater than "
                    "float32's; choose the arithmetic 'real' to bound it over the reals"
                )


def _is_same(f: Model, g: Model) -> bool:
    """Whether two files are one: the same bytes, read in one way, and the same weights beside."""
    if f.interface != g.interface:
        return False
    f_constants, g_constants = f.graph.constants, g.graph.constants
    return f.sha256 == g.sha256 and all(
        name in g_constants and np.array_equal(array, g_constants[name])
        for name, array in f_constants.items()
    )


def _check_mass(claim: Claim) -> None:
    """Refuse a distribution whose probabilities float64 does not hold on this region.

    Raises:
        ClaimError: the computed probability of the whole region is not 1.
    """
    region = claim.region
    with np.errstate(over="ignore", invalid="ignore"):
        whole = claim.distribution.mass(region.lower, region.upper, region.lower, region.upper)
    if not (np.abs(whole - 1.0) <= 1e-3).all():
        raise ClaimError(
            f"{region.source}: the probabilities of {claim.distribution.spec} on boxes of this "
            "size leave the range of float64; choose a smaller region or scale"
        )


def _refuse_random(model: Model, runtime: Runtime, claim: Claim) -> None:
    """Refuse a network that answers one input in more than one way.

    Operators that draw are not admitted (`simcert.model.reader`); this is for those that nobody
    knows to.

    Raises:
        ModelError: two runs differ.
    """
    x = np.concatenate([claim.region.lower[:1], claim.region.upper[:1]])
    if not np.array_equal(runtime.run_exact(x), runtime.run_exact(x), equal_nan=True):
        raise ModelError(
            f"{model.path}: two runs of one input differ; a network without a definite output "
            "cannot be compared"
        )
