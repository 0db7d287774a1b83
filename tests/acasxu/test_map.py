"""The advisory map: cells that cover the plane, and say nothing that runs contradict."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from acasxu import advisory_map, picture, units
from acasxu.advisory_map import AdvisoryMap, Plane, Status, area_of, explore, files_runner
from simcert.claim import divergences
from simcert.cli import main
from simcert.errors import ClaimError
from simcert.progress import Silent

TOP1 = divergences.parse("top1", decision="argmin")
PLANE = Plane(reach=15000.0)
SMALL = {"rings": 4, "sectors": 12, "max_boxes": 800, "time_limit": 600.0}


@pytest.fixture(scope="module")
def found(original: Path, pruned: Path) -> AdvisoryMap:
    return explore(original, pruned, PLANE, TOP1, **SMALL)


def covering(found: AdvisoryMap, inputs: np.ndarray) -> list[np.ndarray]:
    """Which cells hold each input."""
    lower, upper = found.cells.lower, found.cells.upper
    return [np.flatnonzero(((lower <= x) & (x <= upper)).all(1)) for x in inputs]


def test_the_cells_cover_the_plane_and_do_not_overlap(found: AdvisoryMap) -> None:
    generator = np.random.default_rng(0)
    rho = PLANE.reach * np.sqrt(generator.random(2000))
    theta = generator.uniform(-math.pi, math.pi, 2000)
    holders = covering(found, PLANE.inputs(rho, theta).astype(np.float32).astype(np.float64))
    assert min(map(len, holders)) >= 1
    assert sum(len(each) > 1 for each in holders) <= 2  # float32 edges
    assert math.isclose(found.cells.area.sum(), math.pi * PLANE.reach**2, rel_tol=1e-5)
    assert found.boxes == 800


def test_runs_agree_with_every_proof(found: AdvisoryMap, original: Path, pruned: Path) -> None:
    generator = np.random.default_rng(1)
    cells = found.cells
    inputs = generator.uniform(cells.lower, cells.upper)
    inputs = np.clip(inputs.astype(np.float32).astype(np.float64), cells.lower, cells.upper)
    f, g = files_runner(original, pruned)(inputs)
    same = units.advisory(f) == units.advisory(g)
    assert same[cells.status == Status.PROVED].all()
    assert not same[cells.status == Status.VIOLATED].any()
    assert {Status(s) for s in cells.status} == set(Status)
    assert 0.5 < found.share(Status.PROVED) + found.share(Status.VIOLATED) <= 1


def test_a_bounded_block_is_proved_on_all_but_its_share(found: AdvisoryMap) -> None:
    cells = found.cells
    inner, outer, right, left = found.blocks.T
    for block in range(len(found.blocks)):
        own = cells.take(cells.block == block)
        assert math.isclose(own.area.sum(), area_of(found.blocks)[block], rel_tol=1e-4)
        polar = own.polar
        assert polar[:, 0].min() >= inner[block] - 1
        assert polar[:, 1].max() <= outer[block] + 1
        assert polar[:, 2].min() >= right[block] - 1e-5
        assert polar[:, 3].max() <= left[block] + 1e-5
        lost = own.take(own.status != Status.PROVED).area.sum() / own.area.sum()
        assert found.unproved[block] >= min(1.0, lost * (1 - 1e-4))
        assert found.bounded[block] == (0 < found.unproved[block] <= found.allowed)


def test_witnesses_are_inputs_on_which_the_files_differ(
    found: AdvisoryMap, original: Path, pruned: Path
) -> None:
    assert found.witnesses
    rho, theta = (
        np.array([getattr(w, name) for w in found.witnesses]) for name in ("rho", "theta")
    )
    f, g = files_runner(original, pruned)(PLANE.inputs(rho, theta))
    one, other = units.advisory(f), units.advisory(g)
    told = np.array([(w.original, w.compressed) for w in found.witnesses])
    assert (told[:, 0] != told[:, 1]).all()
    # Back from raw units the input may be another float32.
    assert np.mean((one == told[:, 0]) & (other == told[:, 1])) > 0.99
    inside = [w for w in found.witnesses if w.proved]
    assert len(inside) == int((found.cells.status == Status.VIOLATED).sum())


def test_the_same_boxes_give_the_same_map(found: AdvisoryMap, original: Path, pruned: Path) -> None:
    again = explore(original, pruned, PLANE, TOP1, threads=1, **SMALL)
    for name in ("lower", "upper", "status", "block"):
        assert np.array_equal(getattr(again.cells, name), getattr(found.cells, name))
    run = files_runner(original, pruned)
    assert picture.svg(again, run) == picture.svg(found, run)


def test_a_network_agrees_with_itself_within_a_tolerance(original: Path) -> None:
    near = divergences.parse("linf")
    found = explore(original, original, PLANE, near, tolerance=0.01, rings=2, sectors=4)
    assert found.share(Status.PROVED) == 1
    assert found.stopped == "finished"
    assert not found.witnesses
    assert not found.bounded.any()


class Interrupt(Silent):
    def update(self, stage: str, **_: object) -> None:  # noqa: ARG002
        raise KeyboardInterrupt


def test_interrupted_at_once_nothing_is_claimed(original: Path, pruned: Path) -> None:
    found = explore(original, pruned, PLANE, TOP1, progress=Interrupt(), **SMALL)
    assert found.stopped == "interrupted"
    assert math.isclose(found.cells.area.sum(), math.pi * PLANE.reach**2, rel_tol=1e-5)
    assert found.share(Status.UNDECIDED) > 0


def test_a_sector_is_drawn_where_it_lies() -> None:
    # From straight ahead (right) to the left (up), 10 to 20 px from (100, 100).
    path = picture.sector([10.0, 20.0, 0.0, math.pi / 2], 100.0, 100.0, 1.0)
    assert path == (
        "M110.00 100.00L120.00 100.00A20.00 20.00 0 0 0 100.00 80.00"
        "L100.00 90.00A10.00 10.00 0 0 1 110.00 100.00Z"
    )


def test_the_command_writes_picture_and_numbers(
    original: Path, pruned: Path, tmp_path: Path
) -> None:
    target = tmp_path / "map.svg"
    given = ["acasxu", "map", "1_1", str(pruned), "--from", str(original.parent), "-q"]
    given += ["--rings", "3", "--sectors", "8", "--boxes", "150", "-o", str(target)]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    numbers = json.loads(target.with_suffix(".json").read_text())
    shares = numbers["shares_of_area"]
    assert math.isclose(sum(shares.values()), 1.0, rel_tol=1e-9)
    lines = target.with_suffix(".csv").read_text().splitlines()
    assert len(lines) == numbers["cells"] + 1
    root = ElementTree.fromstring(target.read_bytes())  # noqa: S314 - the test's own file
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Original", "Compressed", "Same advisory?"} <= set(texts)
    assert not any("href" in name for element in root.iter() for name in element.attrib)
    drawn = [e for e in root.iter("{http://www.w3.org/2000/svg}path") if e.get("class")]
    undecided = next(e for e in drawn if e.get("class") == "undecided")
    assert undecided.get("d", "").count("M") == sum(line.endswith("undecided") for line in lines)


def test_values_outside_the_domain_are_refused(
    original: Path, pruned: Path, tmp_path: Path
) -> None:
    for wrong in ({"psi": 4.0}, {"v_own": 50.0}, {"v_int": 1300.0}, {"reach": 70000.0}):
        with pytest.raises(ClaimError, match="must be"):
            Plane(**wrong)
    with pytest.raises(ClaimError, match="shares"):
        explore(original, pruned, PLANE, TOP1, allowed=1.0)
    target = str(tmp_path / "map.png")
    done = CliRunner().invoke(main, ["acasxu", "map", str(original), str(pruned), "-o", target])
    assert done.exit_code == 2
    assert "map.svg" in done.output


def test_the_default_reach_is_the_domain() -> None:
    assert acasxu_greatest() == advisory_map.REACH == Plane().reach


def acasxu_greatest() -> float:
    return float(units.denormalise(units.domain().upper)[0, 0].round(6))
