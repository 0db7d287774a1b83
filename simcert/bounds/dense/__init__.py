"""The propagator for small dense networks, as compiled loops over boxes.

On a network of a few hundred neurons the tensor operations of :mod:`simcert.bounds.propagator`
spend their time on calls and on memory; here all that belongs to one box stays in a core's cache,
from the intervals to the last substitution. The mathematics, the choices and the rounding terms are
those of the propagator, which is the reference in the tests. The loops release Python's lock, so
that threads share a batch; each box is computed by itself, whatever their number.

It takes aligned chains of dense layers, padded to one width.
"""

from simcert.bounds.dense.layers import Layers, layers_of
from simcert.bounds.dense.propagator import DensePropagator

__all__ = ["DensePropagator", "Layers", "layers_of"]
