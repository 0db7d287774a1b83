"""The ten properties of the literature: where they hold, of which networks, and what they ask."""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acasxu import units
from acasxu.files import sources
from simcert.claim import Region

_FILE = Path(__file__).with_name("properties.toml")


@dataclass(frozen=True, eq=False)
class Property:
    """A requirement on one network, where pairs of networks are compared.

    Attributes:
        number: 1 to 10.
        requirement: what the network must do there, in words.
        networks: names of the networks that it is stated of.
        raw: (boxes, 2, 5) lower and upper bounds in raw units, see :data:`acasxu.UNITS`.
        region: the same in network units, rounded outward.
    """

    number: int
    requirement: str
    networks: tuple[str, ...]
    raw: NDArray[np.float64]
    region: Region


@cache
def properties() -> dict[int, Property]:
    """All ten by number.

    Source: Katz et al., CAV 2017, as in the properties of VNN-COMP, whose VNN-LIB files round
    the normalised bounds to nine decimals.
    """
    document = tomllib.loads(_FILE.read_text(encoding="utf-8"), parse_float=Decimal)
    return {table["number"]: _property(table) for table in document["property"]}


def _property(table: dict[str, object]) -> Property:
    number, boxes, patterns = table["number"], table["box"], table["networks"]
    assert isinstance(number, int)  # noqa: S101 - the package's own file
    assert isinstance(boxes, list)  # noqa: S101
    assert isinstance(patterns, list)  # noqa: S101
    bounds = [
        tuple([Decimal(box[name][side]) for name in units.INPUTS] for side in (0, 1))
        for box in boxes
    ]
    return Property(
        number=number,
        requirement=str(table["requirement"]),
        networks=tuple(
            name for name in sources() if any(fnmatchcase(name, each) for each in patterns)
        ),
        raw=np.array(bounds, dtype=np.float64),
        region=units.region([(low, high) for low, high in bounds], f"ACAS Xu property {number}"),
    )
