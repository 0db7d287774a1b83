"""Aligning the original with the compressed network."""

from simcert.pairing.channels import spread
from simcert.pairing.dual import DualNode, DualProgram, align

__all__ = ["DualNode", "DualProgram", "align", "spread"]
