"""A tiny world with an exactly known truth: two inputs, d(x) = x_0, uniform on [0, 1]^2."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import DTypeLike

from simcert.sampling import Leaves, Remainder
from simcert.sampling.remainder import Float


@dataclass(frozen=True)
class Uniform:
    """Uniform on each leaf: the ``Sampler`` protocol without the rest of SimCert."""

    def sample(
        self,
        lower: Float,
        upper: Float,
        box_lower: Float,
        box_upper: Float,
        generator: np.random.Generator,
        count: int,
        dtype: DTypeLike,
    ) -> Float:
        assert lower.shape == upper.shape == box_lower.shape == box_upper.shape
        assert len(lower) == count
        assert np.all((box_lower <= lower) & (upper <= box_upper))
        x = lower + (upper - lower) * generator.random(lower.shape)
        return x.astype(dtype).astype(np.float64)


def first_input(x: Float) -> Float:
    """The divergence of the tiny world."""
    return x[:, 0].copy()


def world(*, proved: float, violated: float) -> Remainder:
    """[0, 1]^2 of which x_0 <= ``proved`` is proved and x_0 >= ``violated`` proved to violate.

    What lies between is undecided, in two leaves of different mass.
    """
    middle = 0.75 * proved + 0.25 * violated
    edges = np.array([proved, middle, violated])
    low, high = edges[:-1], edges[1:]
    masses = np.nextafter(high - low, 1.0)
    rest = np.zeros(2), np.ones(2)
    leaves = Leaves(
        lower=np.stack([low, rest[0]], axis=1),
        upper=np.stack([high, rest[1]], axis=1),
        masses=masses,
        box=np.zeros(2, dtype=np.int64),
        box_lower=np.zeros((1, 2)),
        box_upper=np.ones((1, 2)),
        ranges=high,
    )
    return Remainder(
        leaves=leaves,
        mass_upper=min(1.0, float(np.nextafter(violated - proved, 1.0))),
        mass_lower=float(np.nextafter(violated - proved, 0.0)),
        violated_upper=1.0 - violated,
        violated_lower=1.0 - violated,
        proved_bound=proved,
        decided_mean=proved**2 + (1.0 - violated),
    )


def points(
    values: list[float], masses: list[float], ranges: list[float] | None = None
) -> Remainder:
    """A finite support: one input, d(x) = x."""
    lower = np.array(values)[:, None]
    leaves = Leaves(
        lower=lower,
        upper=lower,
        masses=np.array(masses),
        box=np.arange(len(values)),
        box_lower=lower,
        box_upper=lower,
        ranges=np.full(len(values), np.inf) if ranges is None else np.array(ranges),
    )
    return Remainder(leaves, 1.0, 0.0, 0.0, 0.0, mass_lower=1.0)


@pytest.fixture
def sampler() -> Uniform:
    """The law of the tiny world."""
    return Uniform()


@pytest.fixture
def run() -> Callable[[Float], Float]:
    """Its divergence."""
    return first_input


@pytest.fixture
def whole() -> Remainder:
    """Nothing decided."""
    return world(proved=0.0, violated=1.0)


@pytest.fixture
def hybrid() -> Remainder:
    """Half proved, a sixteenth proved to violate."""
    return world(proved=0.5, violated=0.9375)


@pytest.fixture(name="points")
def points_fixture() -> Callable[..., Remainder]:
    """Makes finite supports."""
    return points
