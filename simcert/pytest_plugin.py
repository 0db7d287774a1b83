"""Claims about compressed networks as pytest tests.

    @pytest.mark.simcert_claim(original="f.onnx", compressed="g.onnx", tolerance=0.05)
    def test_small_network_behaves_like_the_original(): ...

    def test_both(simcert_claim):
        result = simcert_claim(original="f.onnx", compressed="g.onnx", tolerance=0.05)

The keys are those of a pair in simcert.toml, paths relative to the test's file. A claim that is
refuted or inconclusive fails the test with the report as its message; so that several claims share
their confidence, name their number as ``family``.
"""

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from simcert.result import Result

_MARKER = "simcert_claim"

Verify: TypeAlias = "Callable[..., Result]"
"""What the fixture ``simcert_claim`` is: from the keys of a claim to its result."""


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(original, compressed, tolerance, ...): the test first verifies this claim, "
        "with the keys of a pair in simcert.toml; paths are relative to the test's file",
    )


@pytest.fixture
def simcert_claim(request: pytest.FixtureRequest) -> Verify:
    """Verifies a claim, fails the test if it is not shown, and returns the result."""

    def verify(**options: Any) -> "Result":
        __tracebackhide__ = True
        return _verified(request.path.parent, options)

    return verify


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Verifies the claims that mark a test before the test itself runs."""
    __tracebackhide__ = True
    for marker in item.iter_markers(_MARKER):
        if marker.args:
            raise pytest.UsageError(f"{_MARKER} takes keywords only, as in simcert.toml")
        _verified(item.path.parent, marker.kwargs)
    return (yield)


def _verified(folder: Path, keys: Mapping[str, Any]) -> "Result":
    __tracebackhide__ = True
    from simcert.errors import SimcertError
    from simcert.gate import judge, single
    from simcert.report.text import render

    options = dict(keys)
    family, threads = options.pop("family", 1), options.pop("threads", 1)
    try:
        result = judge(single(options, folder), threads=threads, family=family)
    except (SimcertError, OSError) as error:
        pytest.fail(f"simcert: {error}", pytrace=False)
    if not result.passed:
        pytest.fail(render(result), pytrace=False)
    return result
