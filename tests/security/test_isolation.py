"""The process that inspects models: what it does not survive is refused, and it comes back."""

import os
import subprocess
import threading
from pathlib import Path

import pytest
from hostile_models import honest

from simcert.errors import ModelError
from simcert.model import graph
from simcert.model.admission import inspector
from simcert.model.admission.isolation import Inspector
from simcert.model.admission.scan import INLINE, skeleton

HONEST = skeleton(honest().SerializeToString())


@pytest.fixture
def inspected() -> Inspector:
    inspector = Inspector(seconds=3)
    yield inspector
    inspector.close()


def test_an_honest_model_passes_again_and_again(inspected: Inspector) -> None:
    for _ in range(3):
        inspected.inspect(HONEST)


def test_one_process_serves_all(inspected: Inspector) -> None:
    inspected.inspect(HONEST)
    first = inspected._process
    with pytest.raises(ModelError, match="cannot be parsed"):
        inspected.inspect(b"\xff")
    inspected.inspect(HONEST)
    assert inspected._process is first


def test_a_process_that_was_killed_is_replaced(inspected: Inspector) -> None:
    inspected.inspect(HONEST)
    assert inspected._process is not None
    inspected._process.kill()
    inspected._process.wait()
    inspected.inspect(HONEST)


def test_a_process_that_dies_refuses(inspected: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    inspected.inspect(HONEST)
    monkeypatch.setattr(subprocess.Popen, "poll", lambda _: None)  # it looks alive
    assert inspected._process is not None
    os.kill(inspected._process.pid, 9)
    with pytest.raises(ModelError, match=r"was stopped \(status -9\)"):
        inspected.inspect(HONEST)


def _script(tmp_path: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "inspector.py"
    path.write_text(body)
    monkeypatch.setattr(inspector, "__file__", str(path))


@pytest.mark.parametrize(
    "body",
    [
        "import time; time.sleep(100)",
        "while True: pass",
        "import os; os.abort()",
        "print('x' * 36)",
        "import sys; sys.stdin.buffer.read(8); sys.stdout.buffer.write(bytes(36))",
    ],
    ids=["sleeps", "spins", "aborts", "lies", "answers another question"],
)
def test_no_answer_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    _script(tmp_path, body, monkeypatch)
    inspected = Inspector(seconds=1)
    with pytest.raises(ModelError, match="it was stopped"):
        inspected.inspect(HONEST)


def test_memory_is_limited() -> None:
    inspected = Inspector(memory=1 << 30)
    with pytest.raises(ModelError, match="takes more than 4 s or 1024 MiB"):
        inspected.inspect(bytes(1 << 30))
    inspected.inspect(HONEST)
    inspected.close()


def test_threads_get_their_own_answers(inspected: Inspector) -> None:
    wrong: list[str] = []

    def ask(number: int) -> None:
        model = honest()
        model.graph.output[0].name = f"nowhere{number}"
        try:
            inspected.inspect(skeleton(model.SerializeToString()))
        except ModelError as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wrong) == [f"nothing produces the output 'nowhere{n}'" for n in range(8)]


def test_after_a_fork_there_is_another_process(inspected: Inspector) -> None:
    inspected.inspect(HONEST)
    first = inspected._process
    inspected._owner = os.getpid() + 1  # as in a child that was forked
    inspected.inspect(HONEST)
    assert inspected._process is not first
    assert first is not None
    first.kill()
    first.communicate()


def test_constants_that_are_written_twice_agree() -> None:
    """The inspector imports nothing of SimCert."""
    assert inspector.OPSETS[-1] == graph.LATEST_OPSET
    assert inspector._WORKED_OUT * 8 <= INLINE
