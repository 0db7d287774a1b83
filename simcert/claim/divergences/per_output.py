"""A tolerance of its own for each output."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simcert.claim.divergences import indices
from simcert.claim.divergences.groups import Group, Groups
from simcert.claim.divergences.linf import LInf
from simcert.errors import ClaimError

_LISTED = 8


@dataclass(frozen=True)
class PerOutput(Groups):
    """max_i |f_i − g_i| / ε_i: at most 1 where each output is within its tolerance.

    Attributes:
        tolerances: ``(outputs, ε)``: increasing indices and what each of them may differ by.
    """

    groups: tuple[Group, ...] = field(init=False)
    tolerances: tuple[tuple[tuple[int, ...], float], ...]
    name = "per-output"

    def __post_init__(self) -> None:
        groups = tuple(Group(chosen, LInf(), value) for chosen, value in self.tolerances)
        object.__setattr__(self, "groups", groups)
        super().__post_init__()

    @property
    def spec(self) -> str:
        """Name, and ``outputs=tolerance``."""
        parts = (f"{indices.text(chosen)}={value!r}" for chosen, value in self.tolerances)
        return f"{self.name}:{','.join(parts)}"

    def formula(self, f: str = "f(x)", g: str = "g(x)") -> str:
        """The quotients, as long as they are few."""
        if len(self.groups) <= _LISTED:
            return super().formula(f, g)
        return f"max_i |{f} − {g}|_i/ε_i"

    @classmethod
    def of(cls, values: tuple[float, ...]) -> "PerOutput":
        """One tolerance for each output, in order; equal neighbours are written together.

        Raises:
            ClaimError: no value, or one that is not positive and finite.
        """
        if not values:
            raise ClaimError(f"{cls.name}: give a tolerance for each output")
        parts: dict[float, list[int]] = {}
        for index, value in enumerate(values):
            parts.setdefault(value, []).append(index)
        return cls(tuple((tuple(chosen), value) for value, chosen in parts.items()))


def parse_tolerances(
    text: str, outputs: int, names: Mapping[str, tuple[int, ...]] | None = None
) -> PerOutput:
    """Tolerances as on the command line.

    Args:
        text: a number for each output (``0.1,0.2``), or ``OUTPUTS=NUMBER`` with indices
            (``0-3+7=0.1``), the name of an output tensor, or ``rest`` (``boxes=2,rest=0.05``).
            Outputs that are not named are not compared.
        outputs: how many there are.
        names: the outputs of each output tensor.

    Raises:
        ClaimError: a text of another form, or outputs that are not there or named twice.
    """
    parts = [part.rpartition("=") for part in text.split(",")]
    if not any(equals for _, equals, _ in parts):
        if len(parts) != outputs:
            raise ClaimError(
                f"{len(parts)} tolerances for {outputs} outputs; give one for each, or name them "
                "like 0-3=0.1,rest=0.02"
            )
        return PerOutput.of(tuple(_number(value) for _, _, value in parts))
    chosen: dict[tuple[int, ...], float] = {}
    rest: float | None = None
    for name, _, value in parts:
        if name == "rest" and rest is None:
            rest = _number(value)
            continue
        some = (names or {}).get(name) or indices.parse(name, "tolerances")
        if some in chosen:
            raise ClaimError(f"tolerances: outputs {name} are named twice")
        chosen[some] = _number(value)
    if rest is not None:
        others = set(range(outputs)).difference(*chosen)
        if others:
            chosen[tuple(sorted(others))] = rest
    divergence = PerOutput(tuple(chosen.items()))
    divergence.check(outputs)
    return divergence


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ClaimError(f"tolerances: {text!r} is not a number") from None
