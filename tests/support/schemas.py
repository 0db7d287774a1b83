"""Validators of what reports write."""

import json
from pathlib import Path

import jsonschema
import xmlschema

_FOLDER = Path(__file__).resolve().parents[1] / "report"


def check_junit(text: str) -> None:
    """Raise unless the text is JUnit XML."""
    xmlschema.XMLSchema(str(_FOLDER / "junit.xsd")).validate(text)


def check_sarif(text: str) -> dict:
    """Raise unless the text is SARIF 2.1.0 of the kind that SimCert writes; return the run."""
    log = json.loads(text)
    schema = json.loads((_FOLDER / "sarif.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(log)
    run = log["runs"][0]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        for location in (*result["locations"], *result["relatedLocations"]):
            where = location["physicalLocation"]["artifactLocation"]
            assert run["artifacts"][where["index"]]["location"]["uri"] == where["uri"]
    return run
