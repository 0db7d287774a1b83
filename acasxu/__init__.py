"""The ACAS Xu networks and properties: named, known by their checksums, in raw and network units.

    path = acasxu.network(1, 1)                # from the cache, its content verified
    region = acasxu.properties()[3].region     # a simcert.Region
    outputs = simcert.verify(path, "small.onnx", simcert.Claim(region, tolerance=0.05))

The files themselves are never copied here: ``simcert acasxu fetch`` brings them.
"""

from acasxu.download import fetch
from acasxu.files import cache_folder, network, sources
from acasxu.property import Property, properties
from acasxu.units import (
    ADVISORIES,
    INPUTS,
    UNITS,
    advisory,
    denormalise,
    domain,
    normalise,
    raw_scores,
)

__all__ = [
    "ADVISORIES",
    "INPUTS",
    "UNITS",
    "Property",
    "advisory",
    "cache_folder",
    "denormalise",
    "domain",
    "fetch",
    "network",
    "normalise",
    "properties",
    "raw_scores",
    "sources",
]
