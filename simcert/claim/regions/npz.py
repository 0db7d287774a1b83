"""Regions from .npz files: arrays ``lower``, ``upper`` and, optionally, ``weights``."""

from pathlib import Path

from simcert.claim.region import Float, Region
from simcert.claim.regions.arrays import array_names, as_float64, read_npz
from simcert.errors import ClaimError

_ARRAYS = {"lower", "upper", "weights"}


def read(path: Path, inputs: int) -> Region:
    """The region in a .npz file.

    ``lower`` and ``upper`` have the shape of one input, or (boxes, shape of one input); a shape
    with as many values as the network has inputs is one box. ``weights`` (boxes,) are relative.

    Args:
        path: the file; limits as in `arrays`.
        inputs: number of inputs of the networks.

    Raises:
        ClaimError: missing or other arrays, another number of inputs, or see `Region`.
    """
    names = array_names(path)
    if not {"lower", "upper"} <= set(names) <= _ARRAYS:
        raise ClaimError(
            f"{path} has the arrays {', '.join(names) or '(none)'}; a region is given by lower "
            "and upper, and weights if need be (balls around data are another option)"
        )
    lower, upper = (_boxes(path, name, inputs) for name in ("lower", "upper"))
    weights = (
        as_float64(read_npz(path, "weights"), f"{path}:weights") if "weights" in names else None
    )
    return Region.from_boxes(lower, upper, weights=weights, source=path.name)


def _boxes(path: Path, name: str, inputs: int) -> Float:
    """The bounds as (boxes, inputs)."""
    array = as_float64(read_npz(path, name), f"{path}:{name}")
    if array.size == inputs:
        return array.reshape(1, inputs)
    if array.ndim >= 2 and array.size == len(array) * inputs:
        return array.reshape(-1, inputs)
    raise ClaimError(
        f"{path}: {name} has shape {array.shape}, but the networks have {inputs} inputs; "
        f"the shape must have {inputs} values, after an axis of boxes if there are several"
    )
