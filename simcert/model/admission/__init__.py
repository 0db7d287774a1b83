"""Admission: what is refused of a model file before any library reads it.

Two gates. `scan` walks the bytes, in this process, in plain Python and within limits, and gives a
skeleton, the model without its weights. `inspector` lets ONNX parse and check the skeleton, in a
process of its own with limits of memory and time. What both pass is small, flat, and of known
sizes; only then is it parsed here.
"""

import onnx

from simcert.model.admission.isolation import INSPECTOR
from simcert.model.admission.scan import skeleton

__all__ = ["admit"]


def admit(data: bytes) -> onnx.ModelProto:
    """Check the structure of a model.

    Args:
        data: the bytes of the file.

    Returns:
        The model. A tensor of more than `scan.INLINE` bytes has, as raw data, the place where
        ``data`` has its elements, see `scan.place`.

    Raises:
        ModelError: the bytes are not an ONNX model, or one that SimCert does not admit.
    """
    flat = skeleton(data)
    INSPECTOR.inspect(flat)
    model = onnx.ModelProto()
    model.ParseFromString(flat)
    return model
