"""Claims for tests."""

from typing import Any

from simcert import Claim
from simcert.claim import Region


def over_reals(region: Region, **rest: Any) -> Claim:
    """A claim about the networks over the reals, where truth can be computed exactly."""
    return Claim(region, arithmetic="real", **rest)
