"""The load generator as a process: what it says, and its end."""

from __future__ import annotations

import select
import subprocess
from contextlib import suppress
from types import TracebackType

from benchmarks.contenders import Trouble

#: Seconds beyond those it is told to work; it gives up by itself after ten without an answer.
PATIENCE = 60


class Generator:
    """
    A load generator that runs; it does not outlive the ``with``.

    :param words: its command.
    """

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def __enter__(self) -> Generator:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
        )
        self.pid = self._process.pid
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:  # it has said its last word
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()

    def line(self, seconds: float = 0) -> str:
        """
        Wait for the next line that it prints.

        :raises Trouble: it prints none; the text is what it says about that.
        """
        out, err = self._process.stdout, self._process.stderr
        assert out is not None
        assert err is not None
        ready, _, _ = select.select([out], [], [], seconds + PATIENCE)
        if not ready:
            raise Trouble("the generator says nothing")
        text = out.readline().strip()
        if not text:
            said = err.read().strip().splitlines() or ["nothing"]
            raise Trouble(f"the generator gave up: {said[-1]}")
        return text

    def goOn(self) -> None:
        """Have it do what comes next."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
