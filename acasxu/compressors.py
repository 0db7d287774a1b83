"""Compressors of the study by short names: ``float16``, ``int8``, ``magnitude-10``, ``agf-10``."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruners.registry import METHODS
from simcert.claim import Region
from simcert.errors import ClaimError

USUAL = (
    "float16",
    "int8",
    "int4",
    "magnitude-10",
    "magnitude-30",
    "magnitude-50",
    "wanda-30",
    "agf-10",
)
"""What the study compares by default."""

_INTEGERS = re.compile(r"int([2-8])(-channel)?")
_SHARE = re.compile(r"([a-z]\w*)-(\d\d?)")


def settings(name: str) -> tuple[str, dict[str, Any]]:
    """The method and the options that a name stands for.

    ``intB`` rounds weights to B bits with one scale a tensor, ``intB-channel`` with one a channel;
    ``METHOD-P`` removes P percent with a method of :data:`pruners.registry.METHODS` that takes a
    sparsity (magnitude pruning over the whole network at once); others are methods as they are.

    Raises:
        ClaimError: no such compressor.
    """
    if integers := _INTEGERS.fullmatch(name):
        per = "channel" if integers[2] else "tensor"
        return "quantize", {"bits": int(integers[1]), "per": per}
    if (share := _SHARE.fullmatch(name)) and "sparsity" in _parameters(share[1]):
        scope = {"scope": "global"} if share[1] == "magnitude" else {}
        return share[1], {"sparsity": int(share[2]) / 100, **scope}
    if name in METHODS and not {"sparsity", "bits"} & _parameters(name).keys():
        return name, {}
    raise ClaimError(
        f"there is no compressor {name!r}; write float16, int8, int4-channel, or METHOD-PERCENT "
        "like magnitude-10, with a method that takes a sparsity: "
        + ", ".join(method for method in METHODS if "sparsity" in _parameters(method))
    )


def needs_calibration(name: str) -> bool:
    """Whether a compressor looks at data."""
    known = _parameters(settings(name)[0]).get("calibration")
    return known is not None and known.default is inspect.Parameter.empty


def calibration(region: Region, seed: int, rows: int) -> NDArray[np.float64]:
    """Inputs (rows, 5) for the compressors that look at data: drawn uniformly from a region."""
    generator = np.random.default_rng([seed, 0xCA11B])
    box = generator.choice(region.boxes, size=rows, p=region.weights / region.weights.sum())
    return generator.uniform(region.lower[box], region.upper[box])


def _parameters(method: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(METHODS[method]).parameters if method in METHODS else {}
