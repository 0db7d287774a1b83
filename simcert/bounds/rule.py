"""How an operator is bounded: what the propagator asks of one network's step, and of a pair's.

A rule is stateless; what it learns about a batch of boxes on the way forward (its *relaxation*) is
handed back to it on the way backward.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from simcert.bounds.blocks import Blocks
from simcert.bounds.interval import Interval, Triple


class Rule(Protocol):
    """One operator of one network."""

    def forward(self, operands: Sequence[Interval]) -> tuple[Interval, Any]:
        """Bound the result on each box, (B, size), and return the relaxation."""

    def unsettled(self, x: Interval) -> Tensor:
        """Return where (B, size) tighter bounds of an operand would make a tighter relaxation."""

    def backward(self, c: Tensor, relaxation: Any, box: Tensor, constant: Tensor) -> list[Tensor]:
        """Bound c · result from above by linear functions of the operands.

        Args:
            c: coefficients (R, size).
            relaxation: what ``forward`` returned.
            box: the box of each row (R,).
            constant: (R,), to which the constant term and all rounding is added in place.

        Returns:
            Coefficients (R, operand size) for each operand.
        """


class DualRule(Protocol):
    """One operator in both networks, with a rule for the difference."""

    def forward(self, operands: Sequence[Triple], f: Any, g: Any) -> tuple[Interval, Any]:
        """Bound the difference of the results on each box and return the relaxation.

        ``f`` and ``g`` are the relaxations that the two networks' own rules returned.
        """

    def unsettled(self, operand: Triple) -> Tensor:
        """Return where (B, size) a tighter δ of an operand would make a tighter relaxation."""

    def backward(
        self,
        blocks: Blocks,
        relaxation: Any,
        box: Tensor,
        constant: Tensor,
    ) -> list[Blocks]:
        """Bound c_f·a + c_g·b + c_δ·δ of the results by linear functions of the operands."""
