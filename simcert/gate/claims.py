"""From a configured claim to a claim of the library, and to the identity under which it is kept."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simcert.claim import (
    Claim,
    Region,
    balls_around,
    data_rows,
    distributions,
    divergences,
    read_region,
    region_from_metadata,
)
from simcert.claim.divergences import Divergence
from simcert.claim.regions.metadata import KEY
from simcert.errors import ClaimError
from simcert.gate.configuration import Job
from simcert.model import Model, load

FILE_OPTIONS = ("input_map", "outputs")
"""Keys that say how a file is read, after ``original_`` or ``compressed_``."""

RUN_OPTIONS = ("samples", "early_stopping", "time_limit", "boxes", "seed")
"""Keys that say how long and with which draws a claim is tried."""


def models_of(job: Job) -> tuple[Model, Model]:
    """Reads both files of a claim, with their input maps and the tensors that are compared.

    Raises:
        SimcertError: a file, a map or a name is rejected.
    """
    original, compressed = (
        load(path, *(job.options.get(f"{which}_{key}", ()) for key in FILE_OPTIONS))
        for which, path in (("original", job.original), ("compressed", job.compressed))
    )
    return original, compressed


def claim_of(options: Mapping[str, Any], original: Model) -> Claim:
    """Builds the claim that options with the keys of the configuration describe.

    Raises:
        SimcertError: the region's file or a value is rejected.
    """
    decision, tolerance = options.get("decision"), options.get("tolerance")
    divergence: Divergence
    if "tolerances" in options:
        divergence = divergences.parse_tolerances(
            options["tolerances"], original.graph.output.size, original.interface.outputs_by_name
        )
        tolerance = 1.0  # of the largest quotient of a difference and its own tolerance
    else:
        divergence = divergences.parse(
            options.get("divergence", "linf"), options.get("outputs"), decision or "argmax"
        )
    if decision is not None and divergence.unit != "disagreement":
        raise ClaimError(f"decision says nothing about divergence {divergence.name!r}")
    return Claim(
        region=_region(options, original),
        distribution=distributions.parse(options.get("distribution", "uniform")),
        divergence=divergence,
        tolerance=tolerance,
        max_violation=options.get("max_violation"),
        confidence=options.get("confidence", 0.999),
        arithmetic=options.get("arithmetic", "float32"),
    )


def _region(options: Mapping[str, Any], original: Model) -> Region:
    inputs = original.graph.input.size
    if "region" in options:
        return read_region(options["region"], inputs)
    if "around" in options:
        return balls_around(
            options["around"],
            inputs,
            options["radius"],
            rows=options.get("rows"),
            lower=options.get("lower"),
            upper=options.get("upper"),
        )
    if "inputs" in options:
        return data_rows(options["inputs"], inputs, options.get("rows"))
    text = original.graph.metadata.get(KEY)
    if text is None:
        raise ClaimError(
            f"where must the networks agree? Give region, around with radius, or inputs: "
            f"{original.path.name} has no {KEY} in its metadata"
        )
    return region_from_metadata(text, inputs, original.path.name)


def identity(
    original: str, compressed: str, claim: Claim, options: Mapping[str, Any], family: int
) -> str:
    """The SHA-256 of all that a result depends on, except the machine.

    Args:
        original: digest of the file.
        compressed: digest of the file.
        claim: with its region's bounds, by their digest.
        options: of the run, and how the files are read.
        family: how many claims share the confidence.
    """
    packages = ("simcert", "numpy", "onnx", "onnxruntime", "scipy", "torch")
    read = [f"{which}_{key}" for which in ("original", "compressed") for key in FILE_OPTIONS]
    question = {
        "original": original,
        "compressed": compressed,
        "files": {key: options.get(key) for key in read},
        "claim": claim.to_dict(),
        "run": {key: options.get(key) for key in RUN_OPTIONS},
        "family": family,
        "versions": {package: version(package) for package in packages},
    }
    text = json.dumps(question, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def files(folder: Path, key: str) -> tuple[Path, Path]:
    """Where the result and the certificate of an identity are kept."""
    return folder / f"{key}.result.json", folder / f"{key}.certificate.json"
