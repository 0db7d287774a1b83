"""Searching a region: branch and bound for a proof, attacks for a witness."""

from simcert.search.boxes import Boxes, Splits
from simcert.search.branch_and_bound import BranchAndBound, Found
from simcert.search.resources import Resources
from simcert.search.witness import Candidate, Network, attack

__all__ = [
    "Boxes",
    "BranchAndBound",
    "Candidate",
    "Found",
    "Network",
    "Resources",
    "Splits",
    "attack",
]
