"""Outputs in groups, each with a norm and a tolerance of its own."""

from dataclasses import dataclass

import numpy as np

from simcert.claim.divergences import indices
from simcert.claim.divergences.base import Cover, Divergence, Float, Rows
from simcert.claim.divergences.norms import Norm
from simcert.claim.rounding import deflated, next_above, next_below
from simcert.errors import ClaimError


@dataclass(frozen=True)
class Group:
    """Outputs ``indices``, increasing, that are compared by ``norm``, within ``tolerance`` > 0."""

    indices: tuple[int, ...]
    norm: Norm
    tolerance: float

    @property
    def spec(self) -> str:
        """As in `Groups.spec`."""
        return f"{indices.text(self.indices)}={self.norm.name}/{self.tolerance!r}"


@dataclass(frozen=True)
class Groups(Divergence):
    """max_k ‖f − g‖_k / ε_k over groups k of outputs: at most 1 where each is within its tolerance.

    The boxes of a detector within 2 pixels and its scores within 0.05, say. Outputs in no group
    are not compared. A quotient is one rounded operation; bounds are rounded outward.

    Attributes:
        groups: no output is in two of them.

    Raises:
        ClaimError: no group, an output in two groups, or a tolerance that is not positive.
    """

    groups: tuple[Group, ...]
    name = "groups"
    unit = "times the tolerance"

    def __post_init__(self) -> None:
        chosen = [index for group in self.groups for index in group.indices]
        if not chosen or len(set(chosen)) < len(chosen):
            raise ClaimError(f"{self.name}: each output belongs to one group, and there is one")
        for group in self.groups:
            if not 0 < group.tolerance < np.inf:
                raise ClaimError(
                    f"{self.name}: the tolerance of outputs {indices.text(group.indices)} must be "
                    f"positive and finite, not {group.tolerance}"
                )

    @property
    def spec(self) -> str:
        """Name, and ``outputs=norm/tolerance`` of each group."""
        return f"{self.name}:{','.join(group.spec for group in self.groups)}"

    def check(self, outputs: int) -> None:
        """Refuse groups of outputs that are not there.

        Raises:
            ClaimError: naming the output.
        """
        last = max(group.indices[-1] for group in self.groups)
        if last >= outputs:
            raise ClaimError(
                f"{self.name}: there is no output {last}; the networks have {outputs} outputs, "
                f"0 to {outputs - 1}"
            )

    def columns(self, outputs: int) -> tuple[int, ...]:  # noqa: ARG002
        """The outputs of all groups, group by group."""
        return tuple(index for group in self.groups for index in group.indices)

    def per_output(self, magnitude: Float) -> tuple[float, ...]:
        """The bounds themselves: the functions are differences of outputs."""
        return tuple(magnitude.tolist())

    def formula(self, f: str = "f(x)", g: str = "g(x)") -> str:
        """The largest of the quotients."""
        terms = []
        for group in self.groups:
            part = f"[{indices.text(group.indices)}]"
            terms.append(f"{group.norm.formula(f + part, g + part)}/{group.tolerance}")
        return terms[0] if len(terms) == 1 else f"max({', '.join(terms)})"

    def rows(self, outputs: int) -> Rows:
        """δ_i for the outputs of all groups, group by group."""
        self.check(outputs)
        return Rows.of_difference(np.eye(outputs)[list(self.columns(outputs))])

    def cover(self, tolerance: float, magnitudes: Float) -> Cover:
        """The covers of all groups: some group exceeds its share."""
        thresholds = []
        for group, part in zip(self.groups, self._parts(magnitudes), strict=True):
            share = float(deflated(np.array(tolerance * group.tolerance), 1))
            thresholds.append(group.norm.cover(share, part).thresholds[:, : part.shape[1]])
        return Cover.of_magnitudes(np.hstack(thresholds))

    def evaluate(self, f: Float, g: Float) -> Float:
        """As every divergence; what the outputs in no group are does not matter."""
        self.check(f.shape[1])
        compared = np.zeros(f.shape[1], dtype=bool)
        compared[list(self.columns(f.shape[1]))] = True
        return super().evaluate(np.where(compared, f, 0.0), np.where(compared, g, 0.0))

    def _evaluate(self, f: Float, g: Float) -> Float:
        values = [
            group.norm._evaluate(f[:, list(group.indices)], g[:, list(group.indices)])
            / group.tolerance
            for group in self.groups
        ]
        return np.asarray(np.max(values, axis=0))

    def _upper(self, lower: Float, upper: Float) -> Float:
        parts = zip(self.groups, self._parts(lower), self._parts(upper), strict=True)
        values = [_quotient(g.norm._upper(low, high), g.tolerance) for g, low, high in parts]
        return np.asarray(np.max(values, axis=0))

    def _lower(self, lower: Float, upper: Float) -> Float:
        parts = zip(self.groups, self._parts(lower), self._parts(upper), strict=True)
        values = [next_below(g.norm._lower(low, high) / g.tolerance) for g, low, high in parts]
        return np.asarray(np.maximum(np.max(values, axis=0), 0.0))

    def _parts(self, values: Float) -> list[Float]:
        """The columns of each group."""
        ends = np.cumsum([len(group.indices) for group in self.groups])
        return np.split(values, ends[:-1], axis=1)


def _quotient(values: Float, divisor: float) -> Float:
    """The quotients rounded up, also where it underflows."""
    return np.where(values == 0, 0.0, next_above(values / divisor))
