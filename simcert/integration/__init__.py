"""Probabilities with certainty: linear bounds on undecided boxes, integrated over the inputs' law.

Nothing is drawn here. On an undecided box the propagator says that each function which matters is
at most linear in the inputs; a violation lies in a half-space of one of these linear bounds, and
the probability of a half-space in a box is computed or bounded from above: one method a file.
"""

from simcert.integration.integral import Integral, Integrator

__all__ = ["Integral", "Integrator"]
