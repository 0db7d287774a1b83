"""A method with the training that goes with it: before what rounds, after what prunes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pruners.calibration import DataSource
from pruners.finetune import RATE, finetune
from pruners.onnx_edit import ModelSource
from pruners.registry import METHODS
from pruners.result import Compressed

_ROUNDING = ("quantize", "float16")


@dataclass(frozen=True)
class Training:
    """What a network is trained on, see :func:`pruners.finetune.finetune`.

    Attributes:
        calibration: inputs.
        labels: what it ought to answer.
        epochs: passes over them.
        rate: of Adam, at the first step.
        seed: of the order of the rows.
    """

    calibration: DataSource
    labels: DataSource
    epochs: int
    rate: float = RATE
    seed: int = 0


def compress(
    model: ModelSource, method: str, options: Mapping[str, Any], training: Training | None = None
) -> list[Compressed]:
    """Run a method of ``METHODS``, and a training if there is one.

    A network that is to be rounded is trained first, through its own rounding; one that is pruned
    is trained afterwards, under its mask.

    Returns:
        The stages, the finished file last.

    Raises:
        SimcertError: see the method.
    """
    if training is None:
        return [METHODS[method](model, **options)]
    given: dict[str, Any] = vars(training)
    if method in _ROUNDING:
        if method == "quantize":
            rounding = {"bits": options.get("bits", 8), "per": options.get("per", "channel")}
            given = given | rounding
        trained = finetune(model, **given)
        return [trained, METHODS[method](trained.data, **options)]
    pruned = METHODS[method](model, **options)
    return [pruned, finetune(pruned.data, **given)]
