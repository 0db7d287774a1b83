"""Statistical guarantees for what the symbolic search leaves undecided.

One concentration inequality a file, pure functions of sufficient statistics; a ``Plan`` that fixes
everything before the first draw; ``estimate`` carries it out.
"""

from simcert.sampling.clopper_pearson import samples_needed
from simcert.sampling.draws import Draws, Sampler
from simcert.sampling.estimate import estimate
from simcert.sampling.moments import Moments
from simcert.sampling.plan import Plan, Stopping, make_plan
from simcert.sampling.remainder import Leaves, Remainder
from simcert.sampling.statistics import Quantile, Statistics

__all__ = [
    "Draws",
    "Leaves",
    "Moments",
    "Plan",
    "Quantile",
    "Remainder",
    "Sampler",
    "Statistics",
    "Stopping",
    "estimate",
    "make_plan",
    "samples_needed",
]
