"""Why a certificate is not confirmed."""

from simcert.errors import SimcertError


class CheckError(SimcertError):
    """A step of the check does not hold: the certificate or a file is not what it must be."""


class CannotCheckError(CheckError):
    """The checker cannot re-establish this claim; that is never a pass.

    The certificate may be right all the same: it speaks of an operator, a divergence or a method
    that this small checker does not know.
    """
