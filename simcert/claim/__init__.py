"""What is to be shown: a region, a distribution on it, a divergence and a tolerance.

    region = read_region("prop_1.vnnlib", inputs=5)
    claim = Claim(region, Uniform(), LInf(), tolerance=0.05)
    claim.sentence()  # max over x in R of ‖f(x) − g(x)‖∞ ≤ 0.05 (output units), over the reals

Regions come from files (`regions`), distributions and divergences from their names
(`distributions.parse`, `divergences.parse`).
"""

from simcert.claim import distributions, divergences, regions
from simcert.claim.claim import Claim
from simcert.claim.distributions import Distribution, TruncatedNormal, Uniform
from simcert.claim.divergences import Divergence, Rows
from simcert.claim.region import Region
from simcert.claim.regions import balls_around, data_rows, read_region, region_from_metadata

__all__ = [
    "Claim",
    "Distribution",
    "Divergence",
    "Region",
    "Rows",
    "TruncatedNormal",
    "Uniform",
    "balls_around",
    "data_rows",
    "distributions",
    "divergences",
    "read_region",
    "region_from_metadata",
    "regions",
]
