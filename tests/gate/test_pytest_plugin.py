"""The pytest plugin, run by pytest on test files of its own."""

from importlib.metadata import distributions
from pathlib import Path

import pytest
from scratch import REGION, network

pytest_plugins = ["pytester"]

CLAIM = "original='f.onnx', compressed='g.onnx', threads=1"


@pytest.fixture
def tests(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the pair, in which pytest runs in a process of its own."""
    network(pytester.path / "f.onnx", 0.0, **{"simcert.region": REGION})
    network(pytester.path / "g.onnx", 0.1)
    return pytester


def outcomes(tests: pytest.Pytester, code: str) -> tuple[dict[str, int], str]:
    tests.makepyfile(test_claims=f"import pytest\n{code}")
    run = tests.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers", "-W", "error")
    return run.parseoutcomes(), run.stdout.str()


def test_it_is_installed_as_a_plugin() -> None:
    # A checkout may hold metadata of an older installation: pytest looks at all of them, too.
    found = {(e.group, e.value) for d in distributions(name="simcert") for e in d.entry_points}
    assert ("pytest11", "simcert.pytest_plugin") in found


def test_the_marker(tests: pytest.Pytester) -> None:
    code = (
        f"@pytest.mark.simcert_claim({CLAIM}, tolerance=0.06)\ndef test_holds(): pass\n"
        f"@pytest.mark.simcert_claim({CLAIM}, tolerance=0.04)\ndef test_refuted(): pass\n"
        f"@pytest.mark.simcert_claim({CLAIM}, tolerance=0.06)\ndef test_own(): assert False\n"
    )
    found, output = outcomes(tests, code)
    assert found == {"passed": 1, "failed": 2}
    assert "REFUTED: the claim is false" in output


def test_the_fixture(tests: pytest.Pytester) -> None:
    code = (
        "def test_holds(simcert_claim):\n"
        f"    result = simcert_claim({CLAIM}, tolerance=0.06)\n"
        "    assert result.verdict == 'proved' and result.proof.bound <= 0.06\n"
        "def test_shares(simcert_claim):\n"
        f"    result = simcert_claim({CLAIM}, tolerance=0.025, max_violation=0.3, boxes=1,\n"
        "                           family=3)\n"
        "    assert result.statistics.plan.family % 3 == 0\n"
        "def test_inconclusive(simcert_claim):\n"
        f"    simcert_claim({CLAIM}, tolerance=0.025, max_violation=0.24, boxes=1, samples=50)\n"
    )
    found, output = outcomes(tests, code)
    assert found == {"passed": 2, "failed": 1}
    assert "INCONCLUSIVE: neither shown nor refuted" in output


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("original='f.onnx', compressed='missing.onnx', tolerance=1", "missing.onnx"),
        ("original='f.onnx', compressed='g.onnx', tolerence=1", "unknown key 'tolerence'"),
        ("'f.onnx'", "keywords only"),
    ],
)
def test_what_cannot_be_judged_fails(tests: pytest.Pytester, claim: str, message: str) -> None:
    found, output = outcomes(
        tests, f"@pytest.mark.simcert_claim({claim})\ndef test_claim(): pass\n"
    )
    assert found == {"failed": 1}
    assert message in output


def test_it_costs_other_tests_nothing(tests: pytest.Pytester) -> None:
    code = "import sys\ndef test_light(): assert not {'torch', 'onnx'} & sys.modules.keys()\n"
    assert outcomes(tests, code)[0] == {"passed": 1}


def test_paths_are_relative_to_the_test(tests: pytest.Pytester) -> None:
    folder = Path(tests.mkdir("inner"))
    for name in ("f.onnx", "g.onnx"):
        (tests.path / name).rename(folder / name)
    code = (
        f"import pytest\n@pytest.mark.simcert_claim({CLAIM}, tolerance=0.06)\ndef test_x(): pass\n"
    )
    (folder / "test_x.py").write_text(code)
    run = tests.runpytest_subprocess("-p", "no:cacheprovider")
    assert run.parseoutcomes() == {"passed": 1}
