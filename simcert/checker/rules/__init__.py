"""How each kind of step is bounded, in one network alone and as the difference of two.

Affine steps have rules of their own kind (``affine``). The others are functions of each element,
with lines and planes around them, or join elements (``layer.Link``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from simcert.checker.interval import Float, Interval
from simcert.checker.program import (
    DynamicQuantiser,
    Elementwise,
    Joining,
    Pass,
    Product,
    Quantiser,
    Relu,
    Smooth,
    Softmax,
    Stair,
)
from simcert.checker.rules import (
    dynamic,
    passing,
    product,
    quantiser,
    rectifier,
    smooth,
    softmax,
    stair,
)
from simcert.checker.rules.layer import Layer, Link, Rows

__all__ = ["ELEMENTWISE", "JOINING", "ElementwiseRule", "JoiningRule"]


class ElementwiseRule(NamedTuple):
    """Attributes: ``alone`` returns the image and lines, ``together`` the layer of a pair."""

    alone: Callable[..., tuple[Interval, Rows]]
    together: Callable[..., Layer]


class JoiningRule(NamedTuple):
    """Attributes: ``alone`` returns image, link and a runtime's error, ``together`` adds δ."""

    alone: Callable[..., tuple[Interval, Link, Float]]
    together: Callable[..., None]


ELEMENTWISE: dict[type[Elementwise], ElementwiseRule] = {
    DynamicQuantiser: ElementwiseRule(dynamic.alone, dynamic.together),
    Pass: ElementwiseRule(passing.alone, passing.together),
    Quantiser: ElementwiseRule(quantiser.alone, quantiser.together),
    Relu: ElementwiseRule(rectifier.alone, rectifier.together),
    Smooth: ElementwiseRule(smooth.alone, smooth.together),
    Stair: ElementwiseRule(stair.alone, stair.together),
}

JOINING: dict[type[Joining], JoiningRule] = {
    Product: JoiningRule(product.alone, product.together),
    Softmax: JoiningRule(softmax.alone, softmax.together),
}
