"""Windows of convolutions and pools."""

from __future__ import annotations

import math

import numpy as np

from simcert.checker.linear import Index
from simcert.checker.onnxfile import Node
from simcert.checker.operators.operands import LARGEST_WINDOWS


class Frame:
    """Where windows stand, one entry for each spatial axis.

    ``after`` includes what a last, incomplete window reaches beyond the padding (``overhang``).
    """

    def __init__(self, node: Node, size: tuple[int, ...], kernel: list[int]) -> None:
        rank = len(size)
        self.size, self.kernel = size, node.integers("kernel_shape", kernel)
        self.strides = node.integers("strides", [1] * rank)
        self.dilations = node.integers("dilations", [1] * rank)
        pads, mode = node.integers("pads", [0] * (2 * rank)), node.text("auto_pad", "NOTSET")
        ceil = bool(node.integer("ceil_mode", 0)) if "Pool" in node.operator else False
        lengths = {len(self.kernel), len(self.strides), len(self.dilations), len(kernel)}
        numbers = (*self.kernel, *self.strides, *self.dilations)
        if lengths != {rank} or len(pads) != 2 * rank or min(numbers) < 1 or min(pads) < 0:
            raise node.refused(f"with windows of {self.kernel} over {size}")
        if self.kernel != kernel:
            raise node.refused("with another kernel_shape than the weight's")
        if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            raise node.refused(f"with auto_pad {mode}")
        if mode.startswith("SAME") and node.operator != "Conv" and max(self.dilations) > 1:
            raise node.refused(f"with auto_pad {mode} and dilations, which runtimes ignore there")
        self.before, self.after, self.overhang = [0] * rank, [0] * rank, [0] * rank
        for i, (length, stride) in enumerate(zip(size, self.strides, strict=True)):
            reach = self.dilations[i] * (self.kernel[i] - 1) + 1
            if mode == "NOTSET":
                self.before[i], self.after[i] = pads[i], pads[rank + i]
            elif mode != "VALID":
                total = (-(-length // stride) - 1) * stride + reach - length
                if total < 0 and "Pool" in node.operator:
                    raise node.refused(f"with auto_pad {mode} and gaps, which runtimes cut off")
                total = max(0, total)
                small, large = total // 2, total - total // 2
                upper = mode == "SAME_UPPER"
                self.before[i], self.after[i] = (small, large) if upper else (large, small)
            room = length + self.before[i] + self.after[i] - reach
            if room < 0:
                raise node.refused(f"with windows of {self.kernel} over {size}")
            if ceil and room % stride:
                last = -(-room // stride) * stride
                # A window that would start behind the input is left out.
                if last < length + self.before[i]:
                    self.overhang[i] = last - room
            self.after[i] += self.overhang[i]
        padded = math.prod(map(sum, zip(size, self.before, self.after, strict=True)))
        if padded * math.prod(self.kernel) > LARGEST_WINDOWS * math.prod(self.strides):
            raise node.refused(f"with windows of {self.kernel} over {size}, so many")

    def windows(self, outside: int) -> Index:
        """Return the elements of each window, (positions, kernel); −1 in the padding.

        Args:
            outside: stands for what is beyond the padding.
        """
        index = np.arange(math.prod(self.size)).reshape(self.size)
        ends = zip(self.before, self.after, self.overhang, strict=True)
        index = np.pad(index, [(b, a - o) for b, a, o in ends], constant_values=-1)
        index = np.pad(index, [(0, o) for o in self.overhang], constant_values=outside)
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilations, self.kernel, strict=True)]
        view = np.lib.stride_tricks.sliding_window_view(index, reach)
        steps = [*(slice(None, None, s) for s in self.strides)]
        view = view[(*steps, *(slice(None, None, d) for d in self.dilations))]
        self.result = view.shape[: len(self.size)]
        return view.reshape(math.prod(self.result), -1)
