"""The process that inspects models, seen from the one that wants to read them.

It is started for the first model and serves the following ones: starting costs 0.2 s, a model a
few milliseconds. After a model that it does not survive, the next one gets a new process.
"""

import atexit
import contextlib
import hashlib
import os
import subprocess
import sys
import threading

from simcert.errors import ModelError
from simcert.model.admission import inspector

MEMORY = 2**30
"""Bytes of address space of the process."""

SECONDS = 4
"""For one model, as computing time and by the clock."""


class Inspector:
    """Asks a process of its own, one model at a time; may be used by several threads.

    Args:
        memory: bytes of address space of the process.
        seconds: for one model.
    """

    def __init__(self, memory: int = MEMORY, seconds: int = SECONDS) -> None:
        self._memory = memory
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def inspect(self, skeleton: bytes) -> None:
        """Return if the model is in order.

        Args:
            skeleton: a model that `scan.skeleton` has passed.

        Raises:
            ModelError: it is not, or the process did not survive the question.
        """
        with self._lock:
            process = self._running()
            clock = threading.Timer(self._seconds + 1, process.kill)
            clock.start()
            try:
                wrong = _ask(process, skeleton)
            except (OSError, EOFError) as error:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)  # for its own status, not that of being killed below
                self.close()
                raise ModelError(self._death(process.returncode)) from error
            except BaseException:  # an interrupted exchange must not answer the next question
                self.close()
                raise
            finally:
                clock.cancel()
        if wrong:
            raise ModelError(wrong)

    def close(self) -> None:
        """End the process; the next question starts another one."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was not sent need not be
                    stream.close()
        process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process; a new one after an end, or after a fork of this process."""
        if self._process is None or self._process.poll() is not None or self._owner != os.getpid():
            self.close()
            self._process = subprocess.Popen(  # noqa: S603 - our own file, by the same interpreter
                [sys.executable, "-P", inspector.__file__, str(self._memory), str(self._seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for this process, which then ends that one
            )
            self._owner = os.getpid()
        return self._process

    def _death(self, status: int | None) -> str:
        return (
            f"reading the model takes more than {self._seconds} s or {self._memory >> 20} MiB, or "
            f"crashes ONNX: it was stopped (status {status})"
        )


def _ask(process: subprocess.Popen[bytes], skeleton: bytes) -> str:
    """Send one request and return what the answer says is wrong.

    Raises:
        OSError, EOFError: the process has ended, or answers something else.
    """
    assert process.stdin is not None  # noqa: S101 - for the type checker
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(inspector.REQUEST.pack(len(skeleton)))
    process.stdin.write(skeleton)
    process.stdin.flush()
    header = process.stdout.read(inspector.ANSWER.size)
    if len(header) < inspector.ANSWER.size:
        raise EOFError
    digest, length = inspector.ANSWER.unpack(header)
    wrong = process.stdout.read(length)
    if digest != hashlib.sha256(skeleton).digest() or len(wrong) != length:
        raise EOFError
    return wrong.decode(errors="replace")


INSPECTOR = Inspector()
"""The one of this process."""

atexit.register(INSPECTOR.close)
