"""Certificates: what a passing result says, in a form that others can keep and check."""

from simcert.certificate.file import schema, write
from simcert.certificate.statement import CertificateError, build, sealed

__all__ = ["CertificateError", "build", "schema", "sealed", "write"]
