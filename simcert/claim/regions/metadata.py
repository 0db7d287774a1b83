"""Regions that a model carries: the JSON form in its metadata under ``simcert.region``."""

from simcert.claim.region import Region
from simcert.claim.regions import json_file
from simcert.errors import ClaimError

KEY = "simcert.region"


def region_from_metadata(text: str, inputs: int, model: str) -> Region:
    """The region in the metadata of a model.

    Args:
        text: the value under `KEY`.
        inputs: number of inputs of the model.
        model: name of the model, for messages.

    Raises:
        ClaimError: see `json_file.parse`; or more than `json_file.MAX_BYTES`.
    """
    source = f"{KEY} in the metadata of {model}"
    data = text.encode("utf-8", "replace")
    if len(data) > json_file.MAX_BYTES:
        raise ClaimError(f"{source} holds more than {json_file.MAX_BYTES >> 20} MiB")
    return json_file.parse(data, inputs, source, source)
