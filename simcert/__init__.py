"""Certifies, with guarantees, that a compressed neural network behaves like the original.

    region = read_region("prop_1.vnnlib", inputs=5)
    result = verify("original.onnx", "compressed.onnx", Claim(region, tolerance=0.05))
    result.verdict, result.proof.bound

The whole public interface is on this page. Names are loaded on first use, so that importing the
package costs nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from simcert.errors import ClaimError, ModelError, PairError, SimcertError, UnsupportedOperatorError
from simcert.result import ModelReference, Proof, Result, Verdict, Witness

if TYPE_CHECKING:
    from simcert.claim import (
        Claim,
        Region,
        balls_around,
        data_rows,
        distributions,
        divergences,
        read_region,
    )
    from simcert.model import Model, load
    from simcert.sampling import Statistics
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
    "Statistics",
    "UnsupportedOperatorError",
    "Verdict",
    "Witness",
    "balls_around",
    "data_rows",
    "distributions",
    "divergences",
    "load",
    "read_region",
    "verify",
]

# The function lives in `verification`: a submodule of its own name would replace it here.
_LAZY = {
    "Claim": "simcert.claim",
    "Model": "simcert.model",
    "Region": "simcert.claim",
    "Statistics": "simcert.sampling",
    "balls_around": "simcert.claim",
    "data_rows": "simcert.claim",
    "distributions": "simcert.claim",
    "divergences": "simcert.claim",
    "load": "simcert.model",
    "read_region": "simcert.claim",
    "verify": "simcert.verification",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
