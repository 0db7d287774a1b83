"""Both files in ONNX Runtime beside the checker's own reading of them, on points of the leaves.

No proof rests on it: a file that the checker reads otherwise than a runtime runs it makes the proof
one about other networks, and most such misreadings show on any point.
"""

from __future__ import annotations

import time

import numpy as np

from simcert.checker.bounds import Pair
from simcert.checker.claim import Claim
from simcert.checker.divergences import measured
from simcert.checker.draws import Runner
from simcert.checker.errors import CheckError
from simcert.checker.interval import Float
from simcert.checker.network import Network
from simcert.checker.tree import Leaves

_POINTS, _FEWEST = 256, 2
_CORNERS = 0.25
"""Share of the points that are corners of leaves."""

_ROUNDING = 2.0**-10
"""Of the largest output: what runs in float64 may lose where they go through float32."""

_SECONDS = 2.0
"""After which no more points are run, beyond the fewest."""


def points(leaves: Leaves, input_type: np.dtype[np.floating]) -> Float:
    """Return points of leaves, spread over all, as the files take them, (n, inputs).

    They are others in every check, so that no file is made for them.
    """
    generator = np.random.default_rng()
    chosen = np.linspace(0, len(leaves) - 1, _POINTS).round().astype(int)
    chosen = generator.permutation(chosen)
    lower, upper = leaves.lower[chosen], leaves.upper[chosen]
    position = generator.random(lower.shape)
    corner = generator.random((len(lower), 1)) < _CORNERS
    x = lower + (upper - lower) * np.where(corner, np.rint(position), position)
    rounded = x.astype(input_type).astype(np.float64)
    return np.asarray(np.clip(rounded, lower, upper))


def agree(
    x: Float,
    networks: tuple[Network, Network],
    runners: tuple[Runner, Runner],
    claim: Claim,
    limit: float | None,
) -> int:
    """Require runs to lie within the checker's float32 bounds of each network.

    Runs in float64 lie there too, but for what they round to float32 on the way.

    Args:
        x: points, (n, inputs).
        networks: as the checker reads them; they compute in float32 or float64.
        runners: of the same files.
        claim: how d is measured, and in which arithmetic.
        limit: that d was shown not to exceed on these points; None for any.

    Returns:
        How many points were run.

    Raises:
        CheckError: a run lies outside, or differs by more than ``limit`` although in float32 it
            may not.
    """
    original, compressed = (network.in_float32() for network in networks)
    pair = Pair(original, compressed, "float32")
    slack = 0.0 if all(network.float32 for network in networks) else _ROUNDING
    end = time.monotonic() + _SECONDS
    size = pair.nodes[-1].size
    one, none = np.eye(size), np.zeros((size, size))
    functions = np.vstack([one, none]), np.vstack([none, one]), np.vstack([none, none])
    columns = list(claim.compared(size))
    for number, row in enumerate(x[:, None]):
        if number >= _FEWEST and time.monotonic() > end:
            return number
        f, g = (runner.run(row) for runner in runners)
        if f.shape != (1, size) or g.shape != (1, size):
            raise CheckError(f"ONNX Runtime gives other numbers of outputs than {size}")
        found = pair.bound(row, row, *functions)
        y = np.hstack([f, g])
        near = slack * np.abs(y[np.isfinite(y)]).max(initial=0.0)
        inside = (found.lower - near <= y) & (y <= found.upper + near)
        outside = ~(inside | (np.isinf(found.lower) & np.isinf(found.upper)))[0]
        if outside.any():
            what = "original" if outside[:size].any() else "compressed"
            raise CheckError(
                f"the checker reads the {what} file otherwise than ONNX Runtime runs it"
            )
        d = float(measured(claim.divergence, f[:, columns], g[:, columns])[0])
        if limit is not None and claim.arithmetic == "float32" and not d <= limit:
            raise CheckError(f"d = {d} in ONNX Runtime on a leaf where d ≤ {limit} is proved")
    return len(x)
