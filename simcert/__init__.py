"""Certifies, with guarantees, that a compressed neural network behaves like the original.

The whole public interface is on this page. Names are loaded on first use, so that importing the
package costs nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from simcert.errors import ClaimError, ModelError, PairError, SimcertError, UnsupportedOperatorError
from simcert.result import ModelReference, Proof, Result, Verdict, Witness

if TYPE_CHECKING:
    from simcert.claim import Claim, Region
    from simcert.model import Model, load
    from simcert.verification import verify

__version__ = version("simcert")

__all__ = [
    "Claim",
    "ClaimError",
    "Model",
    "ModelError",
    "ModelReference",
    "PairError",
    "Proof",
    "Region",
    "Result",
    "SimcertError",
    "UnsupportedOperatorError",
    "Verdict",
    "Witness",
    "load",
    "verify",
]

# The function lives in `verification`: a submodule of its own name would replace it here.
_LAZY = {
    "Claim": "simcert.claim",
    "Model": "simcert.model",
    "Region": "simcert.claim",
    "load": "simcert.model",
    "verify": "simcert.verification",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
