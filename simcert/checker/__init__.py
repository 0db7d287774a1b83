"""The independent checker: re-establishes a certificate from its evidence and the two files.

It shares no code with what made the certificate, and needs numpy and the standard library only:

    report = check("certificate.json", "original.onnx", "compressed.onnx")
    report.holds, report.claim, report.steps
"""

from simcert.checker.check import Report, Step, check
from simcert.checker.errors import CannotCheckError, CheckError

__all__ = ["CannotCheckError", "CheckError", "Report", "Step", "check"]
