"""A process that compares expressions: `python -m trim.answers.worker`, one JSON line for each question and answer.

It is a separate command, so that any program can start it, and so that the kernel can end it in the middle of a
power, which no signal handler would interrupt.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from select import select
from typing import Literal

# What SymPy and its parser raise for text that they make nothing of.
_FAILURES = (
    RecursionError, MemoryError, ArithmeticError, ValueError, TypeError, AttributeError, KeyError, IndexError,
    NotImplementedError,
)  # fmt: skip
Answer = Literal["equal", "unequal", "unfinished"]
_MEMORY = 4 << 30  # bytes
_PATIENCE = 20  # times the limit on computing that is waited for on a busy machine
_START = 600.0  # seconds, of a machine that reads SymPy from a slow disk


class Worker:
    """The process, started when it is first asked.

    Args:
        limit: seconds of computing for one comparison; waiting for a processor does not count.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, gold: str, candidate: str, tolerance: float) -> Answer:
        """True if two answers are equal; "unfinished" if the limit was reached.

        Raises:
            RuntimeError: if the process cannot be started.
        """
        process = self._process or self._start()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps([gold, candidate, tolerance]).encode() + b"\n")
            process.stdin.flush()
            line = self._line(process, self._limit * _PATIENCE)
        except BrokenPipeError:
            line = b""
        if not line:
            self.stop()
            return "unfinished"
        return "equal" if json.loads(line) else "unequal"

    def stop(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        # -P: a file of the working folder must not stand in for a library.
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(self._limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )
        if self._line(process, _START) != b"ready\n":
            process.kill()
            stderr = process.communicate()[1].decode(errors="replace").strip().splitlines()
            self._process = None
            raise RuntimeError(f"the judge of answers cannot be started: {stderr[-1] if stderr else 'no reason given'}")
        return process

    @staticmethod
    def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
        """The next line that is written, empty if none comes in time or ever."""
        assert process.stdout
        ready, _, _ = select([process.stdout], [], [], seconds)
        return process.stdout.readline() if ready else b""


def main(limit: float) -> None:
    """Answer questions until there are no more."""
    from trim.answers.algebra import compare
    from trim.answers.equality import equal

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a parser prints is no answer
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process
    equal("x + 1", "1 + x", 0.0, compare)  # the first comparison loads the grammar
    answers.write(b"ready\n")
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, limit)
        try:
            gold, candidate, tolerance = json.loads(line)
            verdict = bool(equal(gold, candidate, tolerance, compare))
        except _FAILURES:
            verdict = False  # whatever it is, it is not the answer
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(json.dumps(verdict).encode() + b"\n")


if __name__ == "__main__":
    main(float(sys.argv[1]))
