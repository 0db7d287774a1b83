"""The checker refuses integer sums that 32 bits may not hold."""

import pytest
from integer_sums import KERNELS, integer_kernel

from simcert.checker.errors import CannotCheckError
from simcert.checker.network import read


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if "on the left" not in kernel])
def test_sums_that_may_wrap_cannot_be_checked(kernel: str) -> None:
    read(integer_kernel(kernel, wraps=False))
    with pytest.raises(CannotCheckError, match="with sums that 32-bit integers may not hold"):
        read(integer_kernel(kernel, wraps=True))
