"""Integer kernels whose 32-bit sums hold, and with one more term wrap around."""

import numpy as np
import onnx
import onnx.parser

MOST = 33_025
"""Products of 255 and 255 that a 32-bit integer holds the sum of."""

_MATRIX, _IMAGE = "[1, {size}]", "[1, {size}, 1, 1]"
_LEFT, _RIGHT = "q = QuantizeLinear(x, s, z) ", " y = DequantizeLinear(c, s, z)"
_SCALED = " r = Cast<to = 1>(c) y = Mul(r, s)"
_FORMS = {
    "QLinearConv": (_IMAGE, _LEFT + "c = QLinearConv(q, s, z, w, s, z, s, z)" + _RIGHT),
    "QLinearConv with a bias": (
        "[1, 1, 1, 1]",
        _LEFT + "c = QLinearConv(q, s, z, w, s, z, s, z, b)" + _RIGHT,
    ),
    "ConvInteger": (_IMAGE, _LEFT + "c = ConvInteger(q, w, z, z)" + _SCALED),
    "MatMulInteger": (_MATRIX, _LEFT + "c = MatMulInteger(q, w, z, z)" + _SCALED),
    "MatMulInteger of dynamic codes": (
        _MATRIX,
        "q, t, o = DynamicQuantizeLinear(x) c = MatMulInteger(q, w, o, z)"
        " r = Cast<to = 1>(c) y = Mul(r, t)",
    ),
    "QLinearMatMul": (_MATRIX, _LEFT + "c = QLinearMatMul(q, s, z, w, s, z, s, z)" + _RIGHT),
    "QLinearMatMul of a computed constant": (
        _MATRIX,
        _LEFT
        + "v = Transpose(w) u = Transpose(v) c = QLinearMatMul(q, s, z, u, s, z, s, z)"
        + _RIGHT,
    ),
    "QLinearMatMul of a constant on the left": (
        "[{size}, 1]",
        _LEFT + "v = Transpose(w) c = QLinearMatMul(v, s, z, q, s, z, s, z)" + _RIGHT,
    ),
    "QLinearMatMul of two tensors of codes": (
        _MATRIX,
        _LEFT + "t = Transpose(q) c = QLinearMatMul(q, s, z, t, s, z, s, z)" + _RIGHT,
    ),
}
KERNELS = tuple(_FORMS)


def integer_kernel(kernel: str, *, wraps: bool) -> bytes:
    """A network of one kernel, of codes 0 to 255 times 255, whose sums hold or just do not."""
    shape, nodes = _FORMS[kernel]
    size = 1 if "bias" in kernel else MOST + wraps
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> '
        f"g (float{shape.format(size=size)} x) => (float y) {{ {nodes} }}"
    )
    constants = {
        "w": np.full((1, size, 1, 1) if "Conv" in kernel else (size, 1), 255, np.uint8),
        "s": np.array(1, np.float32),
        "z": np.array(0, np.uint8),
        "b": np.array([2**31 - 1 - 255 * 255 + wraps], np.int32),
    }
    read = {name for node in model.graph.node for name in node.input}
    for name in sorted(read & constants.keys()):
        model.graph.initializer.append(onnx.numpy_helper.from_array(constants[name], name))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(model, data_prop=True).SerializeToString()
