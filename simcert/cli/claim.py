"""From options to a claim."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from simcert.claim import Claim, Region
    from simcert.model import Model


def claim_of(
    original: "Path | Model",
    *,
    region: Path | None,
    around: Path | None,
    radius: float | None,
    lower: tuple[float, ...] | None,
    upper: tuple[float, ...] | None,
    inputs: Path | None,
    rows: tuple[int, ...] | None,
    distribution: str,
    divergence: str,
    decision: str | None,
    outputs: tuple[int, ...] | None,
    tolerance: float | None,
    max_violation: float | None,
    confidence: float,
    arithmetic: str,
    tolerances: str | None = None,
) -> "Claim":
    """Builds the claim that the options of ``simcert verify`` describe.

    Args:
        original: the network whose number of inputs the region must have, and whose metadata
            holds the region when no option gives one; a file, or what was loaded of it.
        region: file of boxes.
        around: data around which balls are put; needs ``radius``.
        radius: of the balls.
        lower: where the balls are cut off below.
        upper: where the balls are cut off above.
        inputs: data that is the region itself.
        rows: of ``around`` or ``inputs``.
        distribution: name and options.
        divergence: name and options.
        decision: argmax or argmin, for divergences of decisions.
        outputs: that are compared; all by default.
        tolerance: ε.
        max_violation: p.
        confidence: 1 − α.
        arithmetic: real or float32.
        tolerances: one for each output, instead of a divergence and a tolerance.

    Raises:
        click.UsageError: options that do not go together, or no region.
        SimcertError: the original, the region's file or a value is rejected.
    """
    _check_together(region, around, radius, lower, upper, inputs, rows)
    if tolerances is not None:
        if tolerance is not None or outputs is not None or divergence != "linf":
            raise click.UsageError(
                "--tolerances says which outputs may differ by how much: leave --tolerance, "
                "--divergence and --outputs out"
            )
        tolerance = 1.0  # of the largest quotient of a difference and its own tolerance
    if max_violation is not None and tolerance is None:
        raise click.UsageError("--max-violation needs --tolerance: the probability of what?")

    from simcert.claim import (
        Claim,
        balls_around,
        data_rows,
        distributions,
        divergences,
        read_region,
    )
    from simcert.model import Model, load

    model = original if isinstance(original, Model) else load(original)
    if tolerances is None:
        compared = divergences.parse(divergence, outputs, decision or "argmax")
    else:
        compared = divergences.parse_tolerances(
            tolerances, model.graph.output.size, model.interface.outputs_by_name
        )
    if decision is not None and compared.unit != "disagreement":
        raise click.UsageError(f"--decision says nothing about --divergence {divergence}")
    law = distributions.parse(distribution)
    size = model.graph.input.size
    if region is not None:
        where = read_region(region, size)
    elif around is not None and radius is not None:
        where = balls_around(
            around, size, radius, rows=rows, lower=_limit(lower), upper=_limit(upper)
        )
    elif inputs is not None:
        where = data_rows(inputs, size, rows)
    else:
        where = _region_in(model)
    return Claim(
        region=where,
        distribution=law,
        divergence=compared,
        tolerance=tolerance,
        max_violation=max_violation,
        confidence=confidence,
        arithmetic=arithmetic,
    )


def _check_together(
    region: Path | None,
    around: Path | None,
    radius: float | None,
    lower: tuple[float, ...] | None,
    upper: tuple[float, ...] | None,
    inputs: Path | None,
    rows: tuple[int, ...] | None,
) -> None:
    if sum(source is not None for source in (region, around, inputs)) > 1:
        raise click.UsageError("--region, --around and --inputs exclude each other: give one")
    if (around is None) != (radius is None):
        raise click.UsageError("--around and --radius go together: give both")
    if around is None and not (lower is None and upper is None):
        raise click.UsageError("--lower and --upper clip the balls of --around")
    if rows is not None and around is None and inputs is None:
        raise click.UsageError("--rows chooses rows of --around or --inputs")


def _limit(numbers: tuple[float, ...] | None) -> float | tuple[float, ...] | None:
    return numbers[0] if numbers is not None and len(numbers) == 1 else numbers


def _region_in(model: "Model") -> "Region":
    from simcert.claim import region_from_metadata
    from simcert.claim.regions.metadata import KEY

    text = model.graph.metadata.get(KEY)
    if text is None:
        raise click.UsageError(
            f"where must the networks agree? Give --region FILE, or --around FILE --radius R, or "
            f"--inputs FILE: {model.path} has no {KEY} in its metadata"
        )
    return region_from_metadata(text, model.graph.input.size, model.path.name)
