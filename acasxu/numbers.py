"""The numbers behind an advisory map: CSV of the cells, JSON of everything else."""

import csv
import io
import json
from dataclasses import asdict
from typing import Any

from acasxu import units
from acasxu.advisory_map import AdvisoryMap, Status

SCHEMA = "simcert-advisory-map/0.1"

_LISTED = 1000
"""Witnesses that are listed."""


def csv_of(found: AdvisoryMap) -> str:
    """One row a cell: its bounds on the ground, the block it lies in, what is known of it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["rho_from_ft", "rho_to_ft", "theta_from_rad", "theta_to_rad", "block", "status"]
    )
    cells = found.cells
    for polar, block, status in zip(
        cells.polar.tolist(), cells.block.tolist(), cells.status.tolist(), strict=True
    ):
        writer.writerow([*map(repr, polar), block, Status(status).name.lower()])
    return text.getvalue()


def json_of(found: AdvisoryMap) -> str:
    """What is fixed, what was compared, the shares of the area, the blocks and the witnesses."""
    blocks = zip(
        found.blocks.tolist(), found.unproved.tolist(), found.bounded.tolist(), strict=True
    )
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "plane": {
            "psi_rad": found.plane.psi,
            "v_own_ft_s": found.plane.v_own,
            "v_int_ft_s": found.plane.v_int,
            "reach_ft": found.plane.reach,
        },
        "event": found.event,
        "tolerance": found.tolerance,
        "arithmetic": found.arithmetic,
        "original": found.original.to_dict(),
        "compressed": found.compressed.to_dict(),
        "shares_of_area": {s.name.lower(): found.share(s) for s in Status},
        "bounded_up_to": found.allowed,
        "boxes": found.boxes,
        "rounds": found.rounds,
        "seconds": round(found.seconds, 3),
        "stopped": found.stopped,
        "cells": len(found.cells),
        "blocks": [
            {"polar": polar, "unproved_share": share, "bounded": bounded}
            for polar, share, bounded in blocks
        ],
        "advisories": list(units.ADVISORIES),
        "witnesses": len(found.witnesses),
        "some_witnesses": [asdict(witness) for witness in found.witnesses[:_LISTED]],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
