"""Queries in VNN-LIB 2.0 about one network, or about two on the same input.

    (vnnlib-version <2.0>)
    (declare-network f (declare-input X real [5]) (declare-output Y real [5]))
    (declare-network g (isomorphic-to f) (declare-input U real [5]) (declare-output V real [5]))
    (assert (== X[0] U[0])) ...
    (assert (or (> V[0] (+ Y[0] 0.05)) (< V[0] (- Y[0] 0.05)) ...))

A query asks for an input that satisfies all assertions. What is read here: bounds of inputs by
constants, equality of the two networks' inputs, and linear inequalities of outputs, joined by
``and`` and ``or``. Everything else is refused, never dropped.

Standard: https://www.vnnlib.org (Roy, Antony, Gimelli and Daggitt, VNN-LIB 2.0), its grammar and
its typing rules.
"""

from simcert.claim.vnnlib2.condition import Condition
from simcert.claim.vnnlib2.query import Case, Network, Query, Tensor
from simcert.claim.vnnlib2.read import read_query

__all__ = ["Case", "Condition", "Network", "Query", "Tensor", "read_query"]
