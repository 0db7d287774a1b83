"""The checker loads nothing of what made the certificate."""

import json
import os
import subprocess
import sys
from typing import Any

from certificates import Certified

_FOREIGN = {
    "torch",
    "onnx",
    "onnxruntime",
    "scipy",
    "numba",
    "jsonschema",
    "google",
    "cryptography",
}

_SHARED = {"simcert.checker", "simcert.errors", "simcert.numerals", "simcert.result"}

_RUN = """
import json, sys
sys.modules["onnxruntime"] = None  # as if it were not installed
from simcert.checker import check
assert check(*sys.argv[1:]).holds
del sys.modules["onnxruntime"]
print(json.dumps(sorted(sys.modules)))
"""

_RUN_COMMAND = """
import json, sys
sys.modules["onnxruntime"] = None
from simcert.cli import main
sys.argv[1:] = ["check", sys.argv[1], "--original", sys.argv[2], "--compressed", sys.argv[3]]
try:
    main()
except SystemExit as end:
    assert end.code == 0
del sys.modules["onnxruntime"]
print(json.dumps(sorted(sys.modules)))
"""


_RUN_THREADS = (
    _RUN_COMMAND
    + """
from threadpoolctl import threadpool_info
print(json.dumps([pool["num_threads"] for pool in threadpool_info()]))
"""
)


def _run(program: str, certificate: Certified, environment: dict[str, str] | None = None) -> Any:
    files = [certificate.path, certificate.original, certificate.compressed]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, files)],
        capture_output=True,
        check=True,
        env=environment,
    )
    return json.loads(done.stdout.decode().splitlines()[-1])


def _modules(program: str, certificate: Certified) -> set[str]:
    return set(_run(program, certificate))


def test_numpy_and_the_standard_library_only(certified: Certified) -> None:
    modules = _modules(_RUN, certified)
    tops = {name.partition(".")[0] for name in modules}
    assert not tops & _FOREIGN
    assert tops - set(sys.stdlib_module_names) - {"__main__"} <= {"numpy", "simcert"} | {
        name for name in tops if name.startswith("_")
    }


def test_nothing_of_the_verifier(certified: Certified) -> None:
    own = {name for name in _modules(_RUN, certified) if name.startswith("simcert.")}
    assert {".".join(name.split(".")[:2]) for name in own} <= _SHARED


def test_nor_on_the_command_line(proved: Certified) -> None:
    modules = _modules(_RUN_COMMAND, proved)
    assert not {name.partition(".")[0] for name in modules} & _FOREIGN
    for part in ("bounds", "search", "model", "pairing", "claim", "sampling", "verification"):
        assert f"simcert.{part}" not in modules


def test_one_thread_unless_asked_otherwise(proved: Certified) -> None:
    """Idle threads of a matrix library wait actively: on a busy machine that is all they do."""
    names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"
    bare = {name: value for name, value in os.environ.items() if name not in names}
    assert set(_run(_RUN_THREADS, proved, bare)) == {1}
    asked = _run(_RUN_THREADS, proved, bare | dict.fromkeys(names, "2"))
    assert set(asked) == {min(2, os.cpu_count() or 1)}
