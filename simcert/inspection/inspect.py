"""Inspecting one file or two."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simcert.claim import Region, read_region, region_from_metadata
from simcert.claim.regions.metadata import KEY
from simcert.inspection.contents import Contents, contents_of
from simcert.inspection.layers import PairContents, pair_contents
from simcert.inspection.running import Running, running_of, samples_of
from simcert.model import Model, load


@dataclass(frozen=True)
class Inspection:
    """What one or two files contain, and how they run.

    Attributes:
        models: one or two.
        running: one for each model; empty where nothing was run.
        sampled_from: in words, where the inputs of these runs were drawn from.
        pair: how two models correspond; None for one.
    """

    models: tuple[Contents, ...]
    running: tuple[Running, ...]
    sampled_from: str
    pair: PairContents | None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: plain types, sizes None where they are symbolic."""
        return {
            "models": [_contents(model) for model in self.models],
            "running": [
                {**asdict(run), "default_agrees": run.default_agrees, "own_agrees": run.own_agrees}
                for run in self.running
            ],
            "sampled_from": self.sampled_from,
            "pair": None if self.pair is None else asdict(self.pair),
        }


def inspect(
    original: str | Path,
    compressed: str | Path | None = None,
    *,
    region: str | Path | None = None,
    samples: int = 64,
    seed: int = 0,
    threads: int = 1,
) -> Inspection:
    """Say what one or two ONNX files contain.

    Args:
        original: a file.
        compressed: another one, to be compared with it.
        region: a file of boxes from which inputs are drawn; by default the region in the metadata
            of ``original``, else the unit box.
        samples: how many inputs to run; 0 for none.
        seed: of the draws.
        threads: for ONNX Runtime.

    Raises:
        SimcertError: a file is rejected.
    """
    models = [load(original)] + ([] if compressed is None else [load(compressed)])
    where, source = _region(models[0], region)
    running = []
    for model in models if samples else ():
        own = where if where is not None and where.inputs == model.graph.input.size else None
        x = samples_of(own, model.graph.input.size, samples, seed)
        running.append(running_of(model, x, threads))
    return Inspection(
        tuple(contents_of(model) for model in models),
        tuple(running),
        source if samples else "",
        pair_contents(*models) if len(models) == 2 else None,
    )


def _region(model: Model, path: str | Path | None) -> tuple[Region | None, str]:
    """The region that inputs are drawn from, and what it is."""
    inputs = model.graph.input.size
    if path is not None:
        region = read_region(path, inputs)
        return region, region.source
    if KEY in model.graph.metadata:
        region = region_from_metadata(model.graph.metadata[KEY], inputs, model.path.name)
        return region, region.source
    return None, "the unit box [0, 1]"


def _contents(model: Contents) -> dict[str, Any]:
    tensors = {
        key: [
            {"name": info.name, "shape": list(info.shape), "type": info.dtype.name}
            for info in getattr(model, key)
        ]
        for key in ("inputs", "outputs")
    }
    plain = {
        "path": model.path,
        "sha256": model.sha256,
        "bytes": model.bytes,
        "opset": model.opset,
        "overridable": list(model.overridable),
        "parameters": model.parameters,
        "stored": {str(bits): count for bits, count in model.stored.items()},
        "zeros": model.zeros,
        "provable": model.provable,
        "steps": model.program,
        "reason": model.reason or None,
    }
    operators = [
        {"operator": use.operator, "count": use.count, "support": use.support.value}
        for use in model.operators
    ]
    return {**plain, **tensors, "operators": operators}
