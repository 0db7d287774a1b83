import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simcert.sampling.histogram import BINS, Histogram


@given(st.lists(st.floats(0, allow_nan=False), max_size=200))
def test_every_draw_is_counted_once(values: list[float]) -> None:
    histogram = Histogram.of(np.array(values))
    assert sum(histogram.counts) + histogram.infinite == len(values)
    assert histogram.infinite == sum(map(math.isinf, values))
    assert histogram.upper == max((v for v in values if math.isfinite(v)), default=0.0)


def test_bins_have_equal_width() -> None:
    histogram = Histogram.of(np.linspace(0.0, 4.0, 4 * BINS + 1))
    assert histogram.counts == (4,) * (BINS - 1) + (5,)


def test_the_json_form_has_no_infinity() -> None:
    assert Histogram.of(np.array([0.0, math.inf])).to_dict() == {
        "upper": 0.0,
        "upper_hex": "0x0.0p+0",
        "counts": [1],
        "infinite": 1,
    }
