"""Disagreement of the decision."""

from dataclasses import dataclass, field

from simcert.claim.divergences.topk import TopK


@dataclass(frozen=True)
class Top1(TopK):
    """1 where the best outputs of f and g are not the same, else 0: the case k = 1 of `TopK`.

    ACAS Xu networks decide by argmin, classifiers by argmax.
    """

    k: int = field(default=1, init=False)
    name = "top1"

    @property
    def spec(self) -> str:
        """Name alone."""
        return self.name

    def event(self, tolerance: float, f: str = "f(x)", g: str = "g(x)") -> str:  # noqa: ARG002
        """Different decisions; every tolerance below 1 means the same."""
        return f"{self.decision} {f} ≠ {self.decision} {g}"

    def bound(self, tolerance: float, unit: str, f: str = "f(x)", g: str = "g(x)") -> str:  # noqa: ARG002
        """Equal decisions on all of R."""
        return f"{self.decision} {f} = {self.decision} {g} for every x in R"
