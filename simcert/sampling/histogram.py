"""How the divergences of the draws are spread: a picture of the draws, never a bound."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from simcert.numerals import exact
from simcert.sampling.remainder import Float

BINS = 40


@dataclass(frozen=True)
class Histogram:
    """Counts of divergences in bins of equal width between 0 and the largest finite one.

    Bin i holds the values in [i w, (i + 1) w) with w = upper / len(counts), the last bin also those
    equal to ``upper``, all up to rounding.

    Attributes:
        upper: the largest finite divergence; 0 when there is none.
        counts: of each bin; a single bin when ``upper`` is 0.
        infinite: how many were infinite.
    """

    upper: float
    counts: tuple[int, ...]
    infinite: int

    @classmethod
    def of(cls, divergences: Float, bins: int = BINS) -> Self:
        """Counts divergences (n,), none of them negative or NaN."""
        finite = divergences[np.isfinite(divergences)]
        upper = float(finite.max(initial=0.0))
        if upper == 0.0:
            return cls(0.0, (len(finite),), len(divergences) - len(finite))
        index = np.minimum((finite / upper * bins).astype(np.int64), bins - 1)
        counts = np.bincount(index, minlength=bins)
        return cls(upper, tuple(counts.tolist()), len(divergences) - len(finite))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **exact("upper", self.upper),
            "counts": list(self.counts),
            "infinite": self.infinite,
        }
