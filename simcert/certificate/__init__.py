"""Certificates: what a passing result says, in a form that others can keep and check."""

from simcert.certificate.file import write
from simcert.certificate.statement import CertificateError, build

__all__ = ["CertificateError", "build", "write"]
