"""The dual-network symbolic propagator: sound bounds of f, g and f − g on boxes of inputs."""

from simcert.bounds.propagator import OutOfTimeError, Propagator, RowBounds

__all__ = ["OutOfTimeError", "Propagator", "RowBounds"]
