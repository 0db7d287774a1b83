"""The arithmetics that a claim can be about."""

import numpy as np

from simcert import ClaimError
from simcert.claim import Claim, Region
from simcert.claim.claim import ARITHMETICS


def _accepted(arithmetic: str) -> bool:
    region = Region.from_boxes(np.zeros((1, 1)), np.ones((1, 1)), source="one")
    try:
        Claim(region, arithmetic=arithmetic)
    except ClaimError:
        return False
    return True


ACCEPTED = tuple(arithmetic for arithmetic in ARITHMETICS if _accepted(arithmetic))
"""All that `Claim` takes; every test of the suite runs for each of them."""
