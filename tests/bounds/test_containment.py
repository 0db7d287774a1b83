"""No bound is ever wrong: random pairs, boxes and points, compared in exact arithmetic.

`SIMCERT_SOUNDNESS_TRIPLES` is the number of (pair, box, point) triples for each operator and
arithmetic; `long_run.py` tries a hundred thousand.
"""

import os
from pathlib import Path

import pytest
from soundness.networks import CURVED, OPERATORS
from soundness.subjects import SUBJECTS, Subject

from simcert.model.graph import DYNAMIC
from simcert.model.lowering import LOWERINGS

TRIPLES = int(os.environ.get("SIMCERT_SOUNDNESS_TRIPLES", "108"))
_BOXES, _POINTS = 3, 4


def test_every_operator_is_attacked() -> None:
    made_by_passes = {DYNAMIC}
    assert {*OPERATORS, *CURVED} == set(LOWERINGS) - made_by_passes


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_bounds_contain_all_values(subject: Subject, tmp_path: Path) -> None:
    count = subject.attack(0, TRIPLES, _BOXES, _POINTS, tmp_path)
    assert count.triples >= TRIPLES
    assert count.finite > 0
