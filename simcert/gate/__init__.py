"""The gate: every claim of a project, from a file that lies beside the models."""

from simcert.gate.configuration import Configuration, GateError, Job, find, read, single
from simcert.gate.run import judge, run

__all__ = ["Configuration", "GateError", "Job", "find", "judge", "read", "run", "single"]
