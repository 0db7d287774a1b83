"""SLAMP: LAMP for spiking networks that are unrolled over time. A reconstruction.

The published method controls the worst-case distortion of the output over layers and time steps by
time-aware layer scores, and is LAMP where there is one step; its formula could not be had. Weights
are shared over time and the rule within a layer is magnitude, so a multiplicative time-aware score
that reduces to LAMP is α_l · LAMP(u) with α_l = 1 at T = 1. Here, by default,

    α_l = Σ_t κ_t e_l(t) / max_t e_l(t),    e_l(t) = E ‖x_l(t)‖²,    κ_t = Σ_{r = t..T} λ^(r − t):

what enters a layer at step t stays in a membrane of leak λ until the end. It is a reconstruction
[R], and another α can be given. Retraining, the method's second stage, is ``pruners.finetune``.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pruners.activations import energies
from pruners.calibration import DataSource, read_calibration
from pruners.execution import Execution
from pruners.lamp import lamp_masks
from pruners.onnx_edit import ModelSource, Network
from pruners.registry import compressor
from pruners.result import Compressed
from pruners.sites import remove, weight_sites
from simcert.errors import ModelError

Profile: TypeAlias = NDArray[np.float64]
"""e_l(1), …, e_l(T): the mean energy that enters a layer at each step."""

Alpha: TypeAlias = Callable[[Profile, float], float]
"""From a layer's profile and the leak λ to α_l > 0; 1 for one step."""


def presynaptic_energy(profile: Profile, leak: float) -> float:
    """The default α_l; between 1 and T(T + 1)/2, and 1 for a layer that nothing enters."""
    largest = profile.max()
    if not largest > 0:
        return 1.0
    steps = len(profile)
    kappa = [sum(leak**passed for passed in range(steps - t)) for t in range(steps)]
    return float(np.dot(kappa, profile / largest))


@compressor
def slamp(
    model: ModelSource,
    *,
    sparsity: float,
    calibration: DataSource,
    leak: float = 1.0,
    alpha: Alpha = presynaptic_energy,
    exclude: Iterable[str] = (),
) -> Compressed:
    """Set to zero the weights of lowest α_l · LAMP in the whole network.

    Step t of a layer is the t-th node, in topological order, that reads its weights; a layer that
    is read once stands for T equal steps (exporters merge the equal steps of a constant input).

    Args:
        model: bytes or path of an ONNX file, unrolled over time.
        sparsity: share s to prune, 0 ≤ s < 1; of N weights round(N(1 − s)) stay.
        calibration: inputs, see :func:`pruners.calibration.read_calibration`.
        leak: λ, from 0 to 1.
        alpha: how a layer's energies over time become its factor.
        exclude: names of nodes that are left as they are.

    Raises:
        SimcertError: nothing to prune, the sparsity cannot be reached, layers with different
            numbers of steps, unfit calibration data, or a network that cannot be run.
    """
    if not 0 <= leak <= 1:
        raise ModelError(f"leak must be 0 to 1, not {leak}")
    exclude = tuple(exclude)
    network = Network(model)
    sites = weight_sites(network, exclude)
    data = read_calibration(calibration, network.graph.input.size)
    measured = energies(Execution(network.original), sites, data.inputs)
    steps = max(len(parts) for parts in measured)
    factors = []
    for site, parts in zip(sites, measured, strict=True):
        if len(parts) not in (1, steps):
            raise ModelError(
                f"tensor {site.tensor!r} is read {len(parts)} times, others {steps} times: not a"
                " network unrolled over time"
            )
        profile = np.array([part.sum() for part in parts]) / len(data.inputs)
        factors.append(_checked(alpha(profile.repeat(steps // len(parts)), leak), site.tensor))
    masks = lamp_masks([site.rows for site in sites], sparsity, factors)
    for site, mask in zip(sites, masks, strict=True):
        remove(network, site, mask)
    parameters = {
        "sparsity": sparsity,
        "leak": leak,
        "alpha": getattr(alpha, "__name__", type(alpha).__name__),
        "steps": steps,
        "exclude": exclude,
    }
    return network.finish("slamp", parameters, calibration=data.sha256)


def _checked(factor: float, tensor: str) -> float:
    if not 0 < factor < np.inf:
        raise ModelError(f"α of tensor {tensor!r} is {factor}; it must be positive and finite")
    return factor
